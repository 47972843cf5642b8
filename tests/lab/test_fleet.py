"""One controller and many hosts: what hangs or floods holds nobody up, memory does not grow, bastions lead on."""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from medsec.catalogue.controls import Control, load_controls
from medsec.engines.base import Work
from medsec.engines.registry import engine
from medsec.evidence.findings import Finding, Verdict
from medsec.guard.guarding import HostGuard
from medsec.inventory import Inventory, load_inventory
from medsec.judge import HostDone, Limits, SshTransport, judge, stream
from medsec.lab import Lab, LabHost
from medsec.resources import root
from tests.lab import fleet_site

pytestmark = pytest.mark.xdist_group("judge")

CONTROLS = load_controls(root() / "roles")
QUICK: list[Control] = [CONTROLS[name] for name in ("critical_files_protected", "root_login_refused")]


@pytest.fixture(scope="module")
def well(lab: Lab) -> Iterator[LabHost]:
    yield lab.add_host("well", kind="server")
    lab.remove_host("well")


@contextmanager
def silent() -> Iterator[int]:
    """Listen as an sshd that accepts and says nothing, on the port that is given."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for one in held:
            one.close()


def test_a_host_that_hangs_and_one_that_floods_delay_nobody(lab: Lab, well: LabHost, tmp_path: Path) -> None:
    """Told by the order of what happens, since seconds depend on the machine."""
    flood = lab.add_host("flood", kind="server")
    # Whoever logs in is flooded before any command is heard, root's own shell included.
    flood.run_as_root(
        "printf '%s\n' '#!/bin/sh' 'yes | head -c 100000000' 'exec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"' "
        "> /usr/local/bin/flood; chmod 755 /usr/local/bin/flood; "
        "echo 'ForceCommand /usr/local/bin/flood' > /etc/ssh/sshd_config.d/flood.conf; systemctl reload ssh"
    ).check_returncode()
    try:
        with silent() as port:
            inventory = fleet_site.write(
                tmp_path / "site",
                lab,
                {"hangs": well, "floods": flood, "well": well},
                {"hangs": {"ansible_host": "127.0.0.1", "ansible_port": port}},
            )
            hosts = [inventory.hosts[name] for name in ("hangs", "floods", "well")]
            transport = SshTransport(Limits(connect=20))
            events = list(
                stream(inventory, hosts, QUICK, transport=transport, limits=Limits(connect=20), retries=0)
            )
    finally:
        lab.remove_host("flood")
    done = [event.host for event in events if isinstance(event, HostDone)]
    assert done.index("well") < done.index("hangs")
    seen = {(event.host, event.verdict) for event in events if isinstance(event, Finding)}
    assert ("hangs", Verdict.UNREACHABLE) in seen
    assert not {verdict for host, verdict in seen if host == "floods"} - {Verdict.ERROR, Verdict.UNREACHABLE}
    assert {verdict for host, verdict in seen if host == "well"} <= {Verdict.PASS, Verdict.FAIL}
    # No more was taken of the flood than the limits allow.
    assert transport.traffic["floods"].bytes_down < 40_000_000


MEMORY = """
import json, resource, sys
from pathlib import Path
from medsec.catalogue.controls import load_controls
from medsec.catalogue.standards import load_standards
from medsec.inventory import load_inventory
from medsec.judge.verifying import verify
from medsec.resources import root
controls = load_controls(root() / "roles")
inventory = load_inventory(Path(sys.argv[1]))
hosts = list(inventory.hosts.values())[: int(sys.argv[2])]
run = verify(inventory, hosts, [controls[name] for name in sys.argv[4:]], site=Path(sys.argv[3]),
             standards=load_standards(root() / "standards"), catalogue=root(), forks=20)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"peak": peak, "done": len(run.complete_hosts()), "verdicts": sorted({f.verdict.value for f in run.findings})}))
"""


def test_memory_does_not_grow_with_hosts(lab: Lab, well: LabHost, tmp_path: Path) -> None:
    """One host under 200 names, so that 200 logins, connections and results are real and the machines are not needed."""
    names = [f"n-{number:03}" for number in range(200)]
    # The host must bear 20 logins at once.
    well.run_as_root(
        "echo 'MaxStartups 100' > /etc/ssh/sshd_config.d/many.conf; systemctl reload ssh"
    ).check_returncode()
    inventory = fleet_site.write(tmp_path / "site", lab, dict.fromkeys(names, well))
    peaks = {}
    for hosts in (40, 200):
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, inventory.path, str(hosts), tmp_path, *(c.id for c in QUICK)],
            capture_output=True,
            text=True,
            check=False,
            cwd=root(),
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["done"] == hosts
        assert set(told["verdicts"]) <= {"pass", "fail"}
        peaks[hosts] = told["peak"] / 1024
    print(peaks)
    assert peaks[200] < 300
    assert peaks[200] < peaks[40] * 1.25, peaks


@pytest.fixture(scope="module")
def behind(lab: Lab, well: LabHost) -> Iterator[LabHost]:
    """A host that lets only `well` in, by its own filter; `well` is its bastion."""
    made = lab.add_host("behind", kind="server")
    made.run_as_root(f"nft '{only_from(well)}'").check_returncode()
    yield made
    lab.remove_host("behind")


@pytest.fixture(scope="module")
def deep(lab: Lab, behind: LabHost) -> Iterator[LabHost]:
    """A host that lets only `behind` in: two bastions lie before it."""
    made = lab.add_host("deep", kind="server")
    made.run_as_root(f"nft '{only_from(behind)}'").check_returncode()
    yield made
    lab.remove_host("deep")


def only_from(bastion: LabHost) -> str:
    return (
        f"table inet bastion {{ chain input {{ type filter hook input priority 0; "
        f"tcp dport 22 ip saddr != {bastion.address} drop; tcp dport 22 meta nfproto ipv6 drop; }}; }}"
    )


def ways(lab: Lab, well: LabHost) -> dict[str, dict[str, str]]:
    """The ways in which Ansible and OpenSSH are told of a bastion."""
    known = f"-o UserKnownHostsFile={lab.known_hosts_path}"
    strict = f"{known} -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -i {lab.identity_path}"
    gate = f"admin@{well.address}"
    return {
        "proxyjump": {"ansible_ssh_common_args": f"{known} -o ProxyJump={gate}"},
        "dash-j": {"ansible_ssh_common_args": f"{known} -J {gate}"},
        "extra": {"ansible_ssh_common_args": known, "ansible_ssh_extra_args": f"-J {gate}"},
        "command": {"ansible_ssh_common_args": f"{known} -o 'ProxyCommand=ssh {strict} -W %h:%p {gate}'"},
    }


@pytest.fixture
def bastions(lab: Lab, well: LabHost, behind: LabHost, tmp_path: Path) -> Inventory:
    known = ways(lab, well)
    return fleet_site.write(tmp_path / "site", lab, dict.fromkeys((*known, "direct"), behind), known)


def test_a_host_behind_a_bastion_is_judged_in_every_way(bastions: Inventory) -> None:
    hosts = list(bastions.hosts.values())
    result = judge(bastions, hosts, QUICK, limits=Limits(connect=5), retries=0)
    seen = {host.name: {f.verdict for f in result.findings if f.host == host.name} for host in hosts}
    assert seen.pop("direct") == {Verdict.UNREACHABLE}, "it can be reached without the bastion: nothing is proved"
    assert all(verdicts <= {Verdict.PASS, Verdict.FAIL} for verdicts in seen.values()), seen


@pytest.mark.parametrize("tool", ["ansible", "pyinfra"])
def test_both_engines_go_through_the_bastion(bastions: Inventory, tool: str) -> None:
    names = [name for name in bastions.hosts if name != "direct"]
    work = Work(
        bastions, CONTROLS, {name: ["root_login_refused"] for name in names}, "plan", seconds_to_connect=20
    )
    result = engine(tool).run(work, lambda event: None)
    assert not result.unreachable
    assert result.complete, result.failures


OPEN_TO_ROOT = "echo PermitRootLogin yes > /etc/ssh/sshd_config.d/00-open.conf; systemctl reload ssh"


def chain(lab: Lab, well: LabHost, behind: LabHost, deep: LabHost, folder: Path) -> Inventory:
    """Hosts behind two bastions, in the ways in which Ansible and OpenSSH are told of them, and behind one too few."""
    known = f"-o UserKnownHostsFile={lab.known_hosts_path}"
    first, second = f"admin@{well.address}", f"{behind.address}:22"
    told = {
        "two": f"{known} -o ProxyJump={first},{second}",
        "two-j": f"{known} -J {first},ssh://{second}",
        "one": f"{known} -J {first}",
        "turned": f"{known} -J {second},{first}",
    }
    return fleet_site.write(
        folder / "site", lab, dict.fromkeys(told, deep), {name: {"ansible_ssh_common_args": way} for name, way in told.items()}
    )  # fmt: skip


def test_a_chain_of_bastions_is_taken_by_the_judge(
    lab: Lab, well: LabHost, behind: LabHost, deep: LabHost, tmp_path: Path
) -> None:
    inventory = chain(lab, well, behind, deep, tmp_path)
    hosts = list(inventory.hosts.values())
    result = judge(inventory, hosts, QUICK, limits=Limits(connect=5), retries=0)
    seen = {host.name: {f.verdict for f in result.findings if f.host == host.name} for host in hosts}
    assert seen.pop("one") == seen.pop("turned") == {Verdict.UNREACHABLE}
    assert all(verdicts <= {Verdict.PASS, Verdict.FAIL} for verdicts in seen.values()), seen


@pytest.mark.parametrize(("tool", "name"), [("ansible", "two-j"), ("pyinfra", "two")])
def test_engines_and_guard_take_a_chain_of_bastions(
    lab: Lab, well: LabHost, behind: LabHost, deep: LabHost, tmp_path: Path, tool: str, name: str
) -> None:
    """Guarded as an operator applies it; what is changed is the way in itself, which must still lead on."""
    inventory = chain(lab, well, behind, deep, tmp_path)
    deep.run_as_root(OPEN_TO_ROOT).check_returncode()
    work = Work(inventory, CONTROLS, {name: ["root_login_refused"]}, "apply", seconds_to_connect=20)
    guard = HostGuard(inventory, lambda: tmp_path / "run", tool)
    with guard.hold([name]) as refused, guard.around(work, risky=True) as protection:
        assert not refused and not protection.refused, (refused, protection.refused)
        result = engine(tool).run(work, lambda event: None)
        assert result.complete and not result.unreachable, result.failures
    assert not protection.reverted
    (finding,) = judge(inventory, [inventory.hosts[name]], [CONTROLS["root_login_refused"]]).findings
    assert finding.verdict is Verdict.PASS, finding.text


def test_a_bastion_that_shows_another_key_is_not_passed(
    lab: Lab, well: LabHost, behind: LabHost, tmp_path: Path
) -> None:
    """Its key is asked for as strictly as the host's, and it is not tried again."""
    lines = Path(lab.known_hosts_path).read_text(encoding="utf-8").splitlines()
    other = next(line for line in lines if behind.address in line).split()[1:]
    strangers = tmp_path / "strangers"
    own = next(line for line in lines if behind.address in line)
    strangers.write_text(f"{well.address} {' '.join(other)}\n{own}\n", encoding="utf-8")
    known = ways(lab, well)
    told = {
        name: {key: value.replace(str(lab.known_hosts_path), str(strangers)) for key, value in known[name].items()}
        for name in ("proxyjump", "command")
    }
    inventory = fleet_site.write(tmp_path / "site", lab, dict.fromkeys(told, behind), told)
    findings = judge(inventory, list(inventory.hosts.values()), QUICK).findings
    assert {f.verdict for f in findings} == {Verdict.UNREACHABLE}
    assert not [f for f in findings if "tried" in f.text.en], findings
    for tool in ("ansible", "pyinfra"):
        work = Work(inventory, CONTROLS, {name: ["root_login_refused"] for name in told}, "plan")
        assert set(engine(tool).run(work, lambda event: None).unreachable) == set(told), tool


@pytest.mark.parametrize("tool", ["ansible", "pyinfra"])
def test_both_engines_keep_to_the_limit_of_a_site(lab: Lab, well: LabHost, tmp_path: Path, tool: str) -> None:
    """With one host at a time, all that happens on it comes before anything happens on the next."""
    names = [f"far-{number}" for number in range(3)]
    inventory = fleet_site.write(tmp_path / "site", lab, dict.fromkeys(names, well))
    listed = yaml.safe_load((inventory.path / "hosts.yml").read_text(encoding="utf-8"))
    listed["all"]["children"] = {"far": {"hosts": dict.fromkeys(names), "vars": {"medsec_site_forks": 1}}}
    (inventory.path / "hosts.yml").write_text(yaml.safe_dump(listed), encoding="utf-8")
    work = Work(
        load_inventory(inventory.path), CONTROLS, {name: [c.id for c in QUICK] for name in names}, "plan", forks=3
    )
    seen: list[str] = []
    result = engine(tool).run(work, lambda event: seen.append(event.host))
    assert result.complete, result.failures
    assert len(seen) > len(names)
    assert [name for name, _ in itertools.groupby(seen)] == names
