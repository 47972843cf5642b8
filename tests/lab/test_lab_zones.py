"""The whole clinic: its zones, the gateway between them, and no way out."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from medsec.lab import Lab

# One worker: the six hosts are started once.
pytestmark = pytest.mark.xdist_group("clinic")

CLINIC = ["gateway", "his-app", "his-db", "backup", "terminal-1", "terminal-2"]


@pytest.fixture(scope="module")
def clinic(lab: Lab) -> Iterator[Lab]:
    def kernel() -> str:
        return next(host.state for host in lab.status() if host.name == "kernel-1")

    before = kernel()  # another test of this worker may have started it
    lab.up()
    assert kernel() == before, "a virtual machine is only started when it is named"
    yield lab
    for name in CLINIC:
        lab.stop(name)


def _answers(lab: Lab, source: str, address: str) -> None:
    """Ping until something comes back; a machine with much to do may take its time."""
    done = lab.host(source).ssh(f"ping -c 1 -w 20 {address}")
    assert done.returncode == 0, f"exit {done.returncode}: {done.stdout}{done.stderr}"


def _is_silent(lab: Lab, source: str, address: str) -> None:
    """Ping three times; a ping that could not be made proves nothing."""
    done = lab.host(source).ssh(f"ping -c 3 -i 0.3 -W 1 {address}")
    assert "3 packets transmitted, 0 received" in done.stdout, (
        f"exit {done.returncode}: {done.stdout}{done.stderr}"
    )


def test_all_are_up_and_up_again_changes_nothing(clinic: Lab) -> None:
    def leaders() -> dict[str, str]:
        return {name: clinic.host(name).ssh("cat /proc/sys/kernel/random/boot_id").stdout for name in CLINIC}

    states = {host.name: host.state for host in clinic.status()}
    assert {name: states[name] for name in CLINIC} == dict.fromkeys(CLINIC, "running")
    before = leaders()
    clinic.up()
    assert leaders() == before
    assert len(set(before.values())) == len(CLINIC)


def test_zones_meet_at_the_gateway_only(clinic: Lab) -> None:
    database = clinic.host("his-db")
    for address in (database.address, database.ipv6):
        hop = clinic.host("terminal-1").ssh(f"ping -c 1 -W 1 {address}").stdout
        assert re.search(r"ttl=63\b", hop), f"{address} is not one router away:\n{hop}"
    clinic.stop("gateway")
    try:
        _is_silent(clinic, "terminal-1", database.address)
        _is_silent(clinic, "terminal-1", database.ipv6)
        _answers(clinic, "his-app", database.address)
    finally:
        clinic.start("gateway")
    _answers(clinic, "terminal-1", database.address)


def test_a_filter_on_the_gateway_separates_zones(clinic: Lab) -> None:
    database = clinic.host("his-db").address
    rules = "table inet t { chain f { type filter hook forward priority 0; policy drop; }; }"
    clinic.host("gateway").run_as_root(f"nft '{rules}'").check_returncode()
    try:
        _is_silent(clinic, "terminal-1", database)
    finally:
        clinic.host("gateway").run_as_root("nft delete table inet t").check_returncode()
    _answers(clinic, "terminal-1", database)


def test_this_machine_is_no_way_round_the_gateway_and_no_way_out(clinic: Lab) -> None:
    terminal = clinic.host("terminal-1")
    console = clinic.definition.zones["rec"].number
    prefix = clinic.host("his-db").address.rsplit(".", 2)[0]
    machine = f"{prefix}.{console}.1"
    elsewhere = clinic.host("his-db").address
    _answers(clinic, "terminal-1", machine)
    terminal.run_as_root(f"ip route add {elsewhere} via {machine}; ip route add 198.51.100.1 via {machine}")
    try:
        for address in (elsewhere, "198.51.100.1"):
            said = terminal.ssh(f"ping -c 1 -W 1 {address}").stdout
            assert "0 received" in said, f"{address} was reached past the gateway:\n{said}"
    finally:
        terminal.run_as_root(f"ip route del {elsewhere}; ip route del 198.51.100.1")
    _is_silent(clinic, "terminal-1", "198.51.100.1")


def test_packets_for_what_is_not_there_stay_here(clinic: Lab, spare_index: int) -> None:
    with Lab("passing", spare_index) as passing:
        host = passing.add_host("x", number=77)
    for command in (["ip", "route", "get", host.address], ["ip", "-6", "route", "get", host.ipv6]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode != 0, done.stdout
        assert "No route to host" in done.stderr


def test_the_inventory_reaches_every_host(clinic: Lab, tmp_path: Path) -> None:
    hosts = clinic.write_inventory(tmp_path / "site")
    listed = yaml.safe_load(hosts.read_text(encoding="utf-8"))
    assert "StrictHostKeyChecking=yes" in listed["all"]["vars"]["ansible_ssh_common_args"]
    everything = "".join(path.read_text(encoding="utf-8") for path in hosts.parent.rglob("*.yml"))
    assert "10.66." not in everything
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible"),
            "-i",
            hosts,
            "all",
            "--one-line",
            "-m",
            "ansible.builtin.command",
            "-a",
            "id -un",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.count("(stdout) root") == len(CLINIC), done.stdout + done.stderr
