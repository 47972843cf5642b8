"""Verify, side by side with its peers: the same checks, interleaved runs, medians as ratios of a hand-written batch script.

    python -m tests.bench.verify_bench > docs/benchmarks.md

The light kind of fleet: many names of real lab hosts, as many of these as are judged at once, each name with a login, a connection
and results of its own. The hosts share the processors with the controller, which is why ratios are given and seconds only beside them.
"""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from medsec.catalogue.controls import Control, load_controls
from medsec.inventory import load_inventory
from medsec.judge.applicability import applies_to
from medsec.judge.judge import judge
from medsec.lab import Lab, LabHost
from medsec.resources import root
from tests.lab import fleet_site
from tests.lab.conftest import leased_index

FORKS = 20
# Runs of each contender by the number of hosts.
ROUNDS = {1: 5, 10: 3, 50: 3, 200: 1}
# Round trips of slow lines in milliseconds, and how many runs each contender has over one; 0 is what they are compared with.
LINES = {0: 3, 20: 3, 100: 3}
# They try real logins, and everybody waits alike for the delay that PAM makes after a wrong password.
LEFT_OUT = {"login_locked_after_failures", "password_quality_enforced"}


@dataclass(frozen=True)
class Fleet:
    """So many names of real hosts, and the files that lead to them."""

    names: Sequence[str]
    inventory: Path
    ssh_config: Path
    script: Path
    controls: Sequence[Control]


@dataclass(frozen=True)
class Contender:
    """A way of verifying a fleet."""

    name: str
    run: Callable[[Fleet], None]
    # A peer that takes minutes is left out of what would take it an hour; above one host it is run once.
    most: int | None = None


@dataclass(frozen=True)
class Cost:
    """What one run took: seconds by the clock, and of this machine's processors without the host's share."""

    seconds: float
    processor: float


def floor(fleet: Fleet) -> None:
    """One connection and one script for each host, by OpenSSH."""
    script = fleet.script.read_bytes()

    def one(name: str) -> None:
        command = ["ssh", "-F", str(fleet.ssh_config), "-o", "BatchMode=yes", name, "sudo -n sh -s"]
        done = subprocess.run(command, input=script, capture_output=True, check=True)
        assert done.stdout.endswith(b"end\n")

    with ThreadPoolExecutor(FORKS) as pool:
        list(pool.map(one, fleet.names))


def medsec_verify(fleet: Fleet) -> None:
    """Verify by medsec."""
    chosen = [word for control in fleet.controls for word in ("--control", control.id)]
    program = Path(sys.executable).with_name("medsec")
    _judged([program, "verify", "-i", fleet.inventory, "--forks", str(FORKS), *chosen], fleet)


def suite(backend: str | None = None, *more: str) -> Callable[[Fleet], None]:
    """Return what runs the pytest suite, with medsec's own transport or with a backend of Testinfra."""

    def run(fleet: Fleet) -> None:
        options = [*more]
        if backend == "ansible":
            options.append(f"--ansible-inventory={fleet.inventory / 'hosts.yml'}")
        elif backend is not None:
            options += [f"--ssh-config={fleet.ssh_config}", "--sudo"]
        if backend is not None:
            options.append(f"--hosts={','.join(f'{backend}://{name}' for name in fleet.names)}")
        chosen = " or ".join(control.id for control in fleet.controls)
        command = [sys.executable, "-m", "pytest", "verify/test_controls.py", "-q", "-p", "no:cacheprovider"]
        _judged([*command, f"--inventory={fleet.inventory}", *options, "-k", chosen], fleet, root())

    return run


def lynis(fleet: Fleet) -> None:
    """Audit one host by Lynis, on it: other questions, about as many."""
    [name] = fleet.names
    audit = "sudo -n lynis audit system --quick --quiet --no-colors"
    subprocess.run(
        ["ssh", "-F", str(fleet.ssh_config), "-o", "BatchMode=yes", name, audit], capture_output=True, check=True
    )


def _judged(command: Sequence[str | Path], fleet: Fleet, folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder or fleet.inventory, capture_output=True, text=True, check=False)
    # Findings are what a plain host is there for; anything else did not do the work.
    if done.returncode != 1:
        raise RuntimeError(
            f"{command[:4]} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        )


CONTENDERS = [
    Contender("hand-written script, one connection (the floor)", floor),
    Contender("medsec verify", medsec_verify),
    Contender("pytest verify", suite()),
    Contender("pytest verify over Testinfra's ssh, ControlPath", suite("ssh"), most=10),
    Contender("pytest verify over Testinfra's paramiko", PARAMIKO := suite("paramiko"), most=10),
    Contender("the same, two processes (xdist)", suite("paramiko", "-n", "2"), most=10),
    Contender("pytest verify over Testinfra's ansible", suite("ansible"), most=1),
    Contender("Lynis, its own questions", lynis, most=1),
]

OVER_SLOW_LINES = [contender for contender in CONTENDERS if contender.most is None or contender.run is PARAMIKO]


def fleet(lab: Lab, hosts: Sequence[LabHost], count: int, folder: Path, line: int = 0) -> Fleet:
    """Write what leads to `count` names of the hosts, over lines with a round trip of `line` milliseconds."""
    folder.mkdir()
    names = [f"n-{number:03}" for number in range(count)]
    inventory = fleet_site.write(folder / "site", lab, dict(zip(names, itertools.cycle(hosts), strict=False)))
    entries = lab.ssh_config_path.read_text(encoding="utf-8")
    for place, host in enumerate(hosts):
        entries = entries.replace(f"Host {host.name} ", f"Host {' '.join(names[place :: len(hosts)])} ")
    config = folder / "ssh_config"
    # Each name its own master, as each host would have.
    config.write_text(f"{entries}Host *\n  ControlPath {folder}/cp-%n\n", encoding="utf-8")
    if line:
        _slow_down(inventory.path / "hosts.yml", config, line)
    controls = [
        control
        for control in load_controls(root() / "roles").values()
        if control.id not in LEFT_OUT and applies_to(control, inventory.hosts[names[0]])
    ]
    one = load_inventory(inventory.path)
    found = judge(one, [one.hosts[names[0]]], controls).findings
    commands = list(dict.fromkeys(record.command for finding in found for record in finding.evidence))
    script = folder / "floor.sh"
    script.write_text(
        "".join(f"( {command}\n) < /dev/null\n" for command in commands) + "echo end\n", encoding="utf-8"
    )
    return Fleet(names, inventory.path, config, script, controls)


def _slow_down(hosts: Path, config: Path, line: int) -> None:
    command = f"{sys.executable} -S -E {Path(__file__).with_name('slow_line.py')} %h %p {line}"
    config.write_text(f"{config.read_text(encoding='utf-8')}  ProxyCommand {command}\n", encoding="utf-8")
    written = yaml.safe_load(hosts.read_text(encoding="utf-8"))
    for login in written["all"]["hosts"].values():
        login["ansible_ssh_common_args"] += f" -o ProxyCommand='{command}'"
    hosts.write_text(yaml.safe_dump(written), encoding="utf-8")


def measured(run: Callable[[Fleet], None], given: Fleet) -> Cost:
    """Run once and return what it took."""
    before, started = os.times(), time.monotonic()
    run(given)
    after = os.times()
    spent = sum(after[place] - before[place] for place in range(4))
    return Cost(time.monotonic() - started, spent)


def compare(given: Fleet, contenders: Sequence[Contender], rounds: int) -> dict[str, list[Cost]]:
    """Run the contenders in turn, so that what else the machine does meets all of them alike."""
    count = len(given.names)
    chosen = [contender for contender in contenders if contender.most is None or count <= contender.most]
    costs: dict[str, list[Cost]] = {contender.name: [] for contender in chosen}
    for number in range(rounds):
        for contender in chosen:
            if contender.most is not None and number and count > 1:
                continue
            costs[contender.name].append(measured(contender.run, given))
            print(count, contender.name, costs[contender.name][-1], file=sys.stderr, flush=True)
    return costs


def table(title: str, count: int, costs: dict[str, list[Cost]], measure: str = "floor") -> str:
    """Return the figures of one fleet as Markdown; the first contender is the measure of the others."""
    seconds = {name: _median(runs) for name, runs in costs.items()}
    least = next(iter(seconds.values()))
    lines = [
        f"## {title}",
        "",
        f"| | × {measure} | s (median) | runs | controller CPU, ms per host |",
        "|---|---|---|---|---|",
    ]
    for name, runs in costs.items():
        processor = statistics.median(cost.processor for cost in runs) / count * 1000
        lines.append(
            f"| {name} | {seconds[name] / least:.1f} | {seconds[name]:.2f} | {len(runs)} | {processor:.0f} |"
        )
    return "\n".join(lines) + "\n"


def lines_table(costs: dict[int, dict[str, list[Cost]]]) -> str:
    """Return what slow lines cost one host: seconds, and how many round trips those are."""
    slow = [line for line in costs if line]
    heads = "".join(f" {line} ms, s | × floor | round trips |" for line in slow)
    rows = ["## One host over slow lines", "", f"| | 0 ms, s |{heads}", "|---|---|" + "---|---|---|" * len(slow)]
    for name in costs[0]:
        row = f"| {name} | {_median(costs[0][name]):.2f} |"
        for line in slow:
            seconds = _median(costs[line][name])
            least = _median(next(iter(costs[line].values())))
            trips = (seconds - _median(costs[0][name])) / line * 1000
            row += f" {seconds:.2f} | {seconds / least:.1f} | {trips:.0f} |"
        rows.append(row)
    return "\n".join(rows) + "\n"


def _median(runs: Sequence[Cost]) -> float:
    return statistics.median(cost.seconds for cost in runs)


HEAD = """\
# Benchmarks

Made by `make bench` (`tests/bench/verify_bench.py`); edit that, not this. Interleaved runs on one machine, medians. The fleet is of the light kind:
names of {forks} real lab hosts, each with its own login and results; they share the processors with the controller. The floor is
one script of the same commands over one connection of OpenSSH, {forks} hosts at a time as in `medsec verify`. Checks that try real logins are left out:
all wait alike for PAM's delay. Peers that take minutes are run once, and on few hosts. OpenSCAP has no content for Debian 12
in the distribution and debian-cis no package: neither was run. A slow line delays every piece of each
connection by half a round trip each way; its column of round trips counts the login's own.

由 `make bench` 生成。各方交替运行，取中位数；倍数以“同样命令写成一个脚本、一次连接”的手写脚本为基准。主机为 {forks} 台真实实验主机的多个名称，
每个名称各自登录、各有结果。

![Seconds by the number of hosts](images/bench-hosts.svg)

![Seconds by the length of the line](images/bench-line.svg)
"""


def main() -> None:
    """Print the document."""
    parts = [HEAD.format(forks=FORKS), f"Processors: {os.cpu_count()}.\n"]
    with (
        leased_index() as index,
        Lab("bench", index, owner=os.getpid()) as lab,
        TemporaryDirectory(dir="/tmp") as name,
    ):
        hosts = [lab.add_host(f"light-{number}", kind="server") for number in range(FORKS)]
        for host in hosts:
            # It must bear all logins at once.
            many = "printf 'MaxStartups 200\\nMaxSessions 200\\n' > /etc/ssh/sshd_config.d/many.conf; systemctl reload ssh"
            host.run_as_root(many).check_returncode()
        install = "apt-get -qq -o Dpkg::Use-Pty=0 install lynis > /dev/null 2>&1"
        hosts[0].run_as_root(install, timeout=120).check_returncode()
        for count, rounds in ROUNDS.items():
            given = fleet(lab, hosts[:count], count, Path(name, str(count)))
            commands = given.script.read_text(encoding="utf-8").count("\n) < /dev/null\n")
            title = f"{count} host{'s' if count > 1 else ''}, {commands} commands on each"
            parts.append(table(title, count, compare(given, CONTENDERS, rounds)))
        slow = {
            line: compare(fleet(lab, hosts[:1], 1, Path(name, f"line-{line}"), line), OVER_SLOW_LINES, rounds)
            for line, rounds in LINES.items()
        }
        parts.append(lines_table(slow))
    sys.stdout.write("\n".join(parts))


if __name__ == "__main__":
    main()
