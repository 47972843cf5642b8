"""Listeners that no remedy may touch: reported by name for somebody to act, and left as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medsec.evidence.findings import Verdict
from medsec.lab import Lab, LabHost
from tests import ledger_site as site

CONTROL = "unneeded_services_gone"
PYTHON = "/usr/bin/python3.11"
SERVE = "systemd-run --unit=board python3 -m http.server --bind"
UDP = """python3 -c 'import socket, time; s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(("::", 9999)); time.sleep(999)'"""


@pytest.mark.parametrize(
    ("staged", "listens", "expected"),
    [
        (f"{SERVE} 0.0.0.0 9999", [], f"{PYTHON} (pid"),
        (f"{SERVE} 127.0.0.1 9999", [], "board.service) listens on tcp 127.0.0.1:9999, which the ledger does not register"),
        (f"{SERVE} :: 9999", [], "listens on tcp *:9999, which the ledger does not register"),
        (f"systemd-run --unit=board {UDP}", [], "listens on udp"),
        (f"{SERVE} 0.0.0.0 9999", [("python3.11", "local")], "which the ledger registers for loopback only"),
        (f"{SERVE} 0.0.0.0 9999", [("his", "management")], "which the ledger registers for his"),
        (f"install -m 755 {PYTHON} /var/tmp/his; systemd-run --unit=board /var/tmp/his -m http.server 9999",
         [("his", "management")], "/var/tmp/his (pid"),
        ("ip netns add box; ip link add outer type veth peer name inner netns box; ip -n box link set inner up;"
         " ip netns exec box setsid -f python3 -m http.server 9999 > /dev/null 2>&1", [], "tcp *:9999 in net:["),
        (r"cd /etc/systemd/system; printf '[Socket]\nListenStream=9999\n[Install]\nWantedBy=sockets.target\n' > board.socket;"
         r" printf '[Service]\nExecStart=/bin/cat\n' > board.service; systemctl enable board.socket", [],
         "after the next boot: /bin/cat (pid 1, board.socket) listens on tcp :::9999, which the ledger does not register"),
    ],
    ids=["all addresses", "loopback", "IPv6", "UDP", "local on all addresses", "another program", "a copy of the name",
         "a network namespace", "a socket that boot opens"],
)  # fmt: skip
def test_it_is_found_and_left_alone(
    lab: Lab,
    fresh_host: Callable[..., LabHost],
    tmp_path: Path,
    staged: str,
    listens: list[tuple[str, str]],
    expected: str,
) -> None:
    host = fresh_host()
    host.run_as_root(f"{staged}\nsleep 2").check_returncode()
    ports: list[dict[str, Any]] = [
        {"port": 9999, "process": process, "sources": [source], "purpose": site.BOTH}
        for process, source in listens
    ]
    entries = {host.name: site.entry(host, listens=ports)}
    inventory = site.write(tmp_path, lab, {host.name: host}, entries, {"management": site.console(host)})

    before = site.verdict(inventory, CONTROL, host.name)
    assert before.verdict is Verdict.FAIL, before.text
    assert expected in before.text.en

    outcome = site.remedy(inventory, CONTROL, [host.name], "pyinfra")[host.name]
    assert (outcome.failed, outcome.changed) == (None, 0)
    assert site.verdict(inventory, CONTROL, host.name).verdict is Verdict.FAIL


def test_a_registered_listener_is_accepted(lab: Lab, fresh_host: Callable[..., LabHost], tmp_path: Path) -> None:
    host = fresh_host()
    host.run_as_root(f"{SERVE} 0.0.0.0 9999\nsleep 2").check_returncode()
    port = {"port": 9999, "process": "python3.11", "sources": ["management"], "purpose": site.BOTH}
    entries = {host.name: site.entry(host, listens=[port])}
    inventory = site.write(tmp_path, lab, {host.name: host}, entries, {"management": site.console(host)})
    found = site.verdict(inventory, CONTROL, host.name)
    assert found.verdict is Verdict.PASS, found.text
