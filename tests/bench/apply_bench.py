"""Apply on hosts that have nothing to change: what does not pass, beside a verify; and all, beside the engines' own programs.

    python -m tests.bench.apply_bench >> docs/benchmarks.md

Real hosts, since two runs must not work on one host at once. medsec's runs do more than their peers': they judge before and after,
and the guard saves what a remedy may touch.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from medsec.catalogue.controls import Control, load_controls
from medsec.engines import tuning
from medsec.evidence.findings import Verdict
from medsec.inventory import Inventory
from medsec.judge.applicability import applies_to
from medsec.judge.judge import judge
from medsec.lab import Lab, LabHost
from medsec.resources import root
from tests.bench.verify_bench import FORKS, LEFT_OUT, Contender, Fleet, compare, table
from tests.lab import fleet_site
from tests.lab.conftest import leased_index

# Runs of each contender by the number of hosts.
ROUNDS = {1: 3, 4: 1}
# A healthy fleet is of the light kind, names of the same hosts: nothing is worked on there.
HEALTHY = 48
HEALTHY_ROUNDS = 3


CLOCK = """
set -e
apt-get -qq -o Dpkg::Use-Pty=0 install chrony > /dev/null 2>&1
printf '%s\\n' 'local stratum 8' 'allow' > /etc/chrony/conf.d/bench.conf
systemctl restart chrony
"""


def _clock(lab: Lab) -> str:
    """Start a host that gives the time, and return its address."""
    host = lab.add_host("clock", kind="server")
    host.run_as_root(CLOCK, timeout=120).check_returncode()
    return host.address


def _fleet(lab: Lab, hosts: Sequence[LabHost], folder: Path, clock: str) -> Fleet:
    names = {host.name: host for host in hosts}
    inventory = fleet_site.write(folder / "site", lab, names, time_sources=[clock]).path
    shutil.copy(root() / "inventory/hosts.py", inventory / "hosts.py")
    return Fleet([host.name for host in hosts], inventory, Path(), Path(), [])


def _healthy(lab: Lab, hosts: Sequence[LabHost], folder: Path, clock: str) -> str:
    names = {f"n-{number:03}": host for number, host in zip(range(HEALTHY), itertools.cycle(hosts), strict=False)}
    inventory = fleet_site.write(folder / "site", lab, names, time_sources=[clock])
    fleet = Fleet(list(names), inventory.path, Path(), Path(), _held(inventory))
    costs = compare(fleet, ON_A_HEALTHY_FLEET, HEALTHY_ROUNDS)
    return table(f"A healthy fleet of {HEALTHY} hosts: nothing to change", HEALTHY, costs, "verify")


def playbook(settings: Callable[[Fleet], Mapping[str, str]]) -> Callable[[Fleet], None]:
    """Return what runs the roles by `ansible-playbook` in an environment of its own."""

    def run(fleet: Fleet) -> None:
        play = root() / "playbooks/harden.yml"
        command: list[str | Path] = [sys.executable, "-P", "-m", "ansible", "playbook", play]
        command += ["-i", fleet.inventory / "hosts.yml", "--forks", str(FORKS)]
        _done(command, fleet, {"ANSIBLE_ROLES_PATH": str(root() / "roles"), **settings(fleet)}, {0})

    return run


def _default(fleet: Fleet) -> Mapping[str, str]:
    nothing = fleet.inventory.parent / "default.cfg"
    nothing.touch()
    return {"ANSIBLE_CONFIG": str(nothing)}


def _tuned(fleet: Fleet) -> Mapping[str, str]:
    return {**_default(fleet), **tuning.environment()}


def _mitogen(fleet: Fleet) -> Mapping[str, str]:
    found = importlib.util.find_spec("ansible_mitogen")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("mitogen is not installed; install the extra `dev`")
    plugins = Path(found.submodule_search_locations[0], "plugins/strategy")
    return {**_tuned(fleet), "ANSIBLE_STRATEGY_PLUGINS": str(plugins), "ANSIBLE_STRATEGY": "mitogen_free"}


def pyinfra(fleet: Fleet) -> None:
    """Run the deploys by pyinfra's own program."""
    command: list[str | Path] = [Path(sys.executable).with_name("pyinfra"), "--yes", "--parallel", str(FORKS)]
    _done([*command, fleet.inventory / "hosts.py", root() / "playbooks/harden.py"], fleet, {}, {0})


def medsec(engine: str) -> Callable[[Fleet], None]:
    """Return what runs all remedies by medsec, as its users do."""

    def run(fleet: Fleet) -> None:
        program = Path(sys.executable).with_name("medsec")
        command: list[str | Path] = [program, "apply", "--all", "--yes", "--engine", engine, "-i", fleet.inventory]
        # What no remedy mends is a finding.
        _done([*command, "--forks", str(FORKS)], fleet, {}, {0, 1})

    return run


def passing(*verb: str) -> Callable[[Fleet], None]:
    """Return what runs medsec with the controls that pass on all hosts."""

    def run(fleet: Fleet) -> None:
        chosen = [word for control in fleet.controls for word in ("--control", control.id)]
        program = Path(sys.executable).with_name("medsec")
        _done([program, *verb, "-i", fleet.inventory, "--forks", str(FORKS), *chosen], fleet, {}, {0})

    return run


def _held(inventory: Inventory) -> list[Control]:
    """Return the controls that pass on all hosts; one or two may not."""
    controls = [
        control
        for control in load_controls(root() / "roles").values()
        if control.id not in LEFT_OUT and applies_to(control, next(iter(inventory.hosts.values())))
    ]
    findings = judge(inventory, list(inventory.hosts.values()), controls).findings
    wanting = {finding.control for finding in findings if finding.verdict is not Verdict.PASS}
    if len(wanting) > 2:
        raise RuntimeError(f"the hosts were not hardened; they do not all pass {sorted(wanting)}")
    return [control for control in controls if control.id not in wanting]


def _done(command: Sequence[str | Path], fleet: Fleet, environment: Mapping[str, str], accepted: set[int]) -> None:
    done = subprocess.run(
        command,
        cwd=fleet.inventory.parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in accepted:
        raise RuntimeError(
            f"{command[:5]} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        )


BY_ANSIBLE = [
    Contender("ansible-playbook, default settings", playbook(_default)),
    Contender("ansible-playbook, medsec's settings", playbook(_tuned)),
    Contender("ansible-playbook, medsec's settings and Mitogen", playbook(_mitogen)),
    Contender("medsec apply --all --engine ansible", medsec("ansible")),
]
BY_PYINFRA = [
    Contender("pyinfra, its own program", pyinfra),
    Contender("medsec apply --all --engine pyinfra", medsec("pyinfra")),
]

ON_A_HEALTHY_FLEET = [
    Contender("medsec verify", passing("verify")),
    Contender("medsec apply --engine ansible", passing("apply", "--yes", "--engine", "ansible")),
    Contender("medsec apply --engine pyinfra", passing("apply", "--yes", "--engine", "pyinfra")),
]

HEAD = """\
## Every remedy on hosts with nothing to change

The same remedies on the same real hosts, one peer after the other. medsec's runs also judge before and after, and save what each
remedy may touch, which the programs beside them do not.
"""


def main() -> None:
    """Print the chapter."""
    parts = []
    with (
        leased_index() as index,
        Lab("bench", index, owner=os.getpid()) as lab,
        TemporaryDirectory(dir="/tmp") as name,
    ):
        hosts = [lab.add_host(f"host-{number}", kind="server") for number in range(max(ROUNDS))]
        clock = _clock(lab)
        medsec("pyinfra")(_fleet(lab, hosts, Path(name, "hardened"), clock))
        parts.append(_healthy(lab, hosts, Path(name, "healthy"), clock))
        parts.append(HEAD)
        for count, rounds in ROUNDS.items():
            fleet = _fleet(lab, hosts[:count], Path(name, str(count)), clock)
            for engine, contenders in (("Ansible", BY_ANSIBLE), ("pyinfra", BY_PYINFRA)):
                costs = compare(fleet, contenders, rounds)
                title = f"{count} host{'s' if count > 1 else ''}, by {engine}"
                parts.append(table(title, count, costs, "the first").replace("## ", "### ", 1))
    sys.stdout.write("\n".join(parts))


if __name__ == "__main__":
    main()
