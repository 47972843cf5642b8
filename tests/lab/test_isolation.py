"""Isolating a host, by packets from its neighbours: at once, after a flush, after a boot; and released as if nothing had been."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from medsec.guard.session import HostIsolated, Session
from medsec.inventory import load_inventory
from medsec.lab import Lab, LabHost
from medsec.trials import overlay
from tests import ledger_site as site
from tests.lab import faults

# One worker: the hosts are started once.
pytestmark = pytest.mark.xdist_group("isolation")

MEDSEC = str(Path(sys.executable).with_name("medsec"))
# A service that boot starts again, and one that goes on talking over one connection.
SERVE = """
cat > /usr/local/bin/tick.py << 'END'
import socketserver, sys, time

class Tick(socketserver.StreamRequestHandler):
    def handle(self):
        while True:
            self.wfile.write(b"tick\\n")
            time.sleep(0.2)

class Server(socketserver.ThreadingTCPServer):
    address_family, allow_reuse_address, daemon_threads = socketserver.socket.AF_INET6, True, True

Server(("::", int(sys.argv[1])), Tick).serve_forever()
END
cat > /etc/systemd/system/tick@.service << 'END'
[Service]
ExecStart=/usr/bin/python3 /usr/local/bin/tick.py %i
[Install]
WantedBy=multi-user.target
END
systemctl enable --now tick@8080.service
"""
FOLLOWING = (
    "table inet following { chain c { type filter hook input priority 0; ct state established counter accept; }; }"
)
TABLE = "nft list table inet medsec_isolation"


@dataclass
class Said:
    code: int
    text: str


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> Iterator[dict[str, LabHost]]:
    """`walled` serves what `known` and, through the gateway, `beyond` are registered for."""
    found = {name: lab.add_host(name, kind="server") for name in ("walled", "known")}
    found["beyond"] = lab.add_host("beyond", kind="terminal", zone="rec")
    (found["gateway"],) = lab.up(["gateway"])
    for name in ("walled", "gateway"):
        found[name].run_as_root("systemctl is-system-running --wait > /dev/null", timeout=120)
        found[name].run_as_root("apt-get -q install -y nftables > /dev/null", timeout=300).check_returncode()
    found["walled"].run_as_root(SERVE).check_returncode()
    yield found
    for name in ("walled", "known", "beyond"):
        lab.remove_host(name)
    lab.reset("gateway")  # other tests of this worker count on a plain one
    lab.stop("gateway")


@pytest.fixture
def here(lab: Lab, hosts: dict[str, LabHost], tmp_path: Path) -> Path:
    """A folder from which the site is administered."""
    return folder(lab, hosts, tmp_path / "here")


def folder(lab: Lab, hosts: dict[str, LabHost], path: Path, management: list[str] | None = None) -> Path:
    addresses = {name: [f"{hosts[name].address}/32", f"{hosts[name].ipv6}/128"] for name in hosts}
    managed = management or [*site.console(hosts["walled"]), *site.console(hosts["gateway"])]
    port = {"port": 8080, "process": "python3.11", "sources": ["known", "beyond"], "purpose": site.BOTH}
    flow = {"sources": ["beyond"], "destinations": ["walled"], "port": 8080, "purpose": site.BOTH}
    entries = {
        "walled": site.entry(hosts["walled"], listens=[port]),
        "known": site.entry(hosts["known"]),
        "gateway": site.entry(hosts["gateway"], forwards=[flow]),
    }
    entries["walled"]["listens"][1:] = [{**port}]
    site.write(path / "inventory", lab, hosts, entries, {"management": managed, **addresses})
    text = path / "inventory/hosts.yml"
    text.write_text(text.read_text() + "  vars: {medsec_guard_seconds: 20}\n", encoding="utf-8")
    return path


def medsec(here: Path, *words: str) -> Said:
    done = subprocess.run(
        [MEDSEC, "--lang", "en", *words], cwd=here, capture_output=True, text=True, timeout=240, check=False
    )
    return Said(done.returncode, done.stdout + done.stderr)


def isolate(here: Path, name: str = "walled") -> Said:
    return medsec(here, "isolate", name, "--reason", "signs of ransomware", "--yes")


def run_of(here: Path, said: Said) -> str:
    (path,) = (line for line in said.text.splitlines() if line.startswith(f"{here}/runs/"))
    return Path(path).name


def reaches(source: LabHost, target: LabHost, port: int = 8080) -> dict[str, bool]:
    """Return whether `source` opens `port` of `target`, by family."""
    tries = " ".join(
        f"{{ timeout 3 bash -c ': < /dev/tcp/{address}/{port}' 2> /dev/null; echo {family} $?; }} &"
        for family, address in (("IPv4", target.address), ("IPv6", target.ipv6))
    )
    lines = source.ssh(f"{tries} wait").stdout.splitlines()
    return {family: code == "0" for family, code in map(str.split, lines)}


BOTH, NONE = {"IPv4": True, "IPv6": True}, {"IPv4": False, "IPv6": False}


@dataclass
class Talk:
    """A connection that was there before."""

    client: LabHost

    def begin(self, target: LabHost) -> None:
        # An interrupted `cat` would tell the end of the connection; that nothing arrives tells it as well.
        self.client.run_as_root(
            f"rm -f /tmp/ticks; systemd-run -q --collect --unit=talk bash -c 'exec cat < /dev/tcp/{target.address}/8080 > /tmp/ticks'"
        ).check_returncode()
        assert self.heard() > 0, "the connection says nothing: that it says nothing later proves nothing"

    def heard(self, seconds: float = 2) -> int:
        """Return how many bytes arrive within `seconds`."""
        counted = self.client.run_as_root(
            f"a=$(stat -c %s /tmp/ticks || echo 0); sleep {seconds}; b=$(stat -c %s /tmp/ticks); echo $((b - a))"
        )
        return int(counted.stdout.split()[-1])

    def end(self) -> None:
        self.client.run_as_root("systemctl stop talk.service 2> /dev/null; rm -f /tmp/ticks")


def begins(host: LabHost, console: str) -> bool:
    """Return whether a program of `host` that sends from the port of SSH gets a connection to its administrators."""
    host.run_as_root("systemctl stop ssh.socket ssh.service").check_returncode()
    try:
        with socket.create_server((console, 0)) as server:
            place = f"('{console}', {server.getsockname()[1]})"
            done = host.run_as_root(
                f"python3 -c \"import socket; socket.create_connection({place}, 3, ('', 22)).close()\""
            )
    finally:
        host.run_as_root("systemctl start ssh.service").check_returncode()
    return done.returncode == 0


def test_cut_off_at_once_and_kept_so_by_packets(lab: Lab, hosts: dict[str, LabHost], here: Path) -> None:
    walled, known = hosts["walled"], hosts["known"]
    console = site.console(walled)[0].partition("/")[0]
    assert reaches(known, walled) == BOTH, "before: open, or what is shut later proves nothing"
    assert reaches(walled, known, 22) == BOTH
    assert begins(walled, console)
    # As a host's own rules do, so that conntrack knows the connection and would let it go on.
    walled.run_as_root(f"nft '{FOLLOWING}'").check_returncode()
    talk = Talk(known)
    talk.begin(walled)

    said = isolate(here)
    assert said.code == 0, said.text
    assert "stops: tcp 8080 (test) serves known, beyond: known" in said.text
    assert talk.heard() == 0, "a connection that was there before goes on"
    talk.end()
    assert reaches(known, walled) == NONE
    assert reaches(known, walled, 22) == NONE, "SSH is for administrators"
    assert reaches(walled, known, 22) == NONE, "nor does it get out"
    assert not begins(walled, console), "what may answer administrators begins something"
    assert walled.ssh("sudo -n true").returncode == 0, "administrators get in"
    inside = f"timeout 3 bash -c ': < /dev/tcp/{walled.address}/8080'"
    assert walled.run_as_root(inside).returncode == 0, "programs of the host reach one another"

    walled.run_as_root("nft flush ruleset").check_returncode()
    time.sleep(12)
    assert reaches(known, walled) == NONE, "another rule set was loaded: the isolation comes back by itself"

    lab.stop("walled")
    lab.start("walled")
    walled.run_as_root("systemctl is-system-running --wait > /dev/null", timeout=120)
    assert walled.run_as_root(inside).returncode == 0, "the service is up, or its silence would prove nothing"
    assert reaches(known, walled) == NONE, "after a boot"
    assert walled.ssh("sudo -n true").returncode == 0

    released = medsec(here, "release", "walled", "--yes")
    assert released.code == 1, released.text
    assert "-table inet following" in released.text, "what others changed meanwhile is told"
    assert reaches(known, walled) == BOTH
    assert reaches(walled, known, 22) == BOTH


def test_recorded_told_by_verify_and_released_without_a_trace(hosts: dict[str, LabHost], here: Path) -> None:
    walled = hosts["walled"]
    before = overlay.listing(walled.upper)
    walled.run_as_root(
        "nft 'table ip others { chain c { ip saddr 192.0.2.1 counter drop; }; }'"
    ).check_returncode()
    rules_before = walled.run_as_root("nft -s list ruleset").stdout

    said = isolate(here)
    assert said.code == 0, said.text
    run = run_of(here, said)
    assert f"{run}\tchanged hosts" in medsec(here, "runs", "list").text
    shown = medsec(here, "runs", "show", run).text
    assert "signs of ransomware" in shown
    assert "access proved" in shown
    facts = json.loads((here / "runs" / run / "isolation.json").read_text(encoding="utf-8"))
    assert facts["reason"] == "signs of ransomware"
    assert [(entry["isolated"], entry["rules_before"]) for entry in facts["hosts"]] == [(True, rules_before)]

    again = isolate(here)
    assert again.code == 2, again.text
    assert f"is isolated already ({run}" in again.text
    # Not fooled, and nothing else is changed meanwhile.
    seen = medsec(here, "verify", "--limit", "walled", "--control", "inbound_denied_by_default")
    assert seen.code == 3, seen.text
    assert "walled is isolated since" in seen.text
    assert "[error] walled (1 check): the host is isolated" in seen.text
    found = load_inventory(here / "inventory").hosts["walled"]
    with Session(found, "20200101T000000Z-000000", keep=10) as session, pytest.raises(HostIsolated) as refused_run:
        session.steps()
    assert "`medsec release walled` first" in str(refused_run.value)

    released = medsec(here, "release", "walled", "--yes")
    assert released.code == 0, released.text
    assert walled.run_as_root("nft -s list ruleset").stdout == rules_before
    assert faults.unlike(walled, before) == []
    assert "released from isolation" in medsec(here, "runs", "show", run_of(here, released)).text
    refused = medsec(here, "release", "walled", "--yes")
    assert refused.code == 2, refused.text
    assert "is not isolated" in refused.text
    back = medsec(here, "rollback", run, "--yes")
    assert back.code == 2, back.text
    assert "nothing of what was asked for is still changed" in back.text
    walled.run_as_root("nft flush ruleset").check_returncode()


def test_what_was_edited_since_is_shown_and_not_lost(hosts: dict[str, LabHost], here: Path) -> None:
    walled, known = hosts["walled"], hosts["known"]
    assert isolate(here).code == 0
    walled.run_as_root(
        "chmod 644 /etc/medsec/isolation/rules.nft; echo '# a note' >> /etc/medsec/isolation/rules.nft"
    )
    walled.run_as_root("nft 'add table ip somebody'").check_returncode()
    refused = medsec(here, "release", "walled", "--yes")
    assert refused.code == 2, refused.text
    assert "edited since it was isolated: /etc/medsec/isolation/rules.nft" in refused.text
    assert reaches(known, walled) == NONE
    forced = medsec(here, "release", "walled", "--yes", "--force")
    assert forced.code == 1, forced.text
    assert "+table ip somebody" in forced.text, "rules of others stay, and are told"
    assert reaches(known, walled) == BOTH
    assert walled.run_as_root("nft list table ip somebody; nft delete table ip somebody").returncode == 0


def test_who_would_shut_himself_out_is_refused(lab: Lab, hosts: dict[str, LabHost], tmp_path: Path) -> None:
    walled = hosts["walled"]
    before = overlay.listing(walled.upper)
    elsewhere = folder(lab, hosts, tmp_path, management=["192.0.2.0/24"])
    said = isolate(elsewhere)
    assert said.code == 2, said.text
    assert "you would be shut out" in said.text
    assert site.console(walled)[0].partition("/")[0] in said.text
    assert faults.unlike(walled, before) == []


# A filter that takes rules only where it is asked to try them.
HALF_BROKEN = """#!/bin/sh
case "$*" in -f\\ *) echo 'Error: Could not process rule' >&2; exit 1 ;; esac
exec /usr/sbin/nft.real "$@"
"""


@pytest.mark.parametrize(
    ("broken", "said_of_it"),
    [("#!/bin/sh\nexit 1\n", "nft does not take the rules"), (HALF_BROKEN, "the change is taken back")],
    ids=["nft that fails", "nft that loads nothing"],
)
def test_a_host_whose_filter_is_broken_is_left_as_it_was(
    hosts: dict[str, LabHost], here: Path, broken: str, said_of_it: str
) -> None:
    walled, known = hosts["walled"], hosts["known"]
    walled.run_as_root("mv /usr/sbin/nft /usr/sbin/nft.real").check_returncode()
    walled.run_as_root(f"cat > /usr/sbin/nft << 'END'\n{broken}END\nchmod 755 /usr/sbin/nft").check_returncode()
    before = overlay.listing(walled.upper)
    try:
        said = isolate(here)
        assert said.code == 3, said.text
        assert said_of_it in said.text
        assert reaches(known, walled) == BOTH
        assert faults.unlike(walled, before) == []
    finally:
        walled.run_as_root("mv -f /usr/sbin/nft.real /usr/sbin/nft").check_returncode()


def test_the_controller_killed_in_the_middle(hosts: dict[str, LabHost], here: Path) -> None:
    walled, known = hosts["walled"], hosts["known"]
    before = overlay.listing(walled.upper)
    # Each login takes its time, so that the moment between the cut and its proof is long enough to be met.
    walled.run_as_root("echo 'sleep 8' > ~admin/.ssh/rc").check_returncode()
    command = [MEDSEC, "isolate", "walled", "--reason", "a test", "--yes"]
    process = subprocess.Popen(command, cwd=here, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while walled.run_as_root(TABLE).returncode != 0:
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    walled.run_as_root("rm ~admin/.ssh/rc").check_returncode()
    states = walled.run_as_root("cat /var/lib/medsec/guard/*/01/state").stdout.split()
    assert states.count("armed") == 1, states
    (run,) = (path.name for path in (here / "runs").iterdir())
    faults.settled(walled, run, 90)
    assert walled.run_as_root(TABLE).returncode != 0
    assert reaches(known, walled) == BOTH
    assert faults.unlike(walled, before) == []
    assert "begun, its end was not seen" in medsec(here, "runs", "show", run).text


def test_two_operators(lab: Lab, hosts: dict[str, LabHost], here: Path, tmp_path: Path) -> None:
    walled, known = hosts["walled"], hosts["known"]
    there = folder(lab, hosts, tmp_path / "there")
    command = [MEDSEC, "--lang", "en", "isolate", "walled", "--reason", "a test", "--yes"]
    both = [
        subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for place in (here, there)
    ]
    said = [process.communicate(timeout=240)[0] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes)[0] == 0, said
    assert sorted(codes)[1] in (2, 3), said
    loser = codes.index(sorted(codes)[1])
    assert any(words in said[loser] for words in ("held by", "isolated by", "isolated already")), said
    assert reaches(known, walled) == NONE
    # Whoever did not isolate it releases it: what is needed lies on the host.
    released = medsec((here, there)[loser], "release", "walled", "--yes")
    assert released.code == 0, released.text
    assert reaches(known, walled) == BOTH


def test_a_gateway_lets_nothing_through_until_the_run_is_rolled_back(
    hosts: dict[str, LabHost], here: Path
) -> None:
    gateway, beyond, walled = hosts["gateway"], hosts["beyond"], hosts["walled"]
    before = overlay.listing(gateway.upper)
    assert reaches(beyond, walled) == BOTH
    talk = Talk(beyond)
    talk.begin(walled)
    said = isolate(here, "gateway")
    assert said.code == 0, said.text
    assert "stops: goes through it: beyond -> walled tcp 8080" in said.text
    assert talk.heard() == 0, "what it forwarded before goes on"
    talk.end()
    assert reaches(beyond, walled) == NONE
    assert gateway.ssh("sudo -n true").returncode == 0
    back = medsec(here, "rollback", run_of(here, said), "--yes")
    assert back.code == 0, back.text
    assert reaches(beyond, walled) == BOTH
    assert faults.unlike(gateway, before) == []
    assert medsec(here, "release", "gateway", "--yes").code == 2
