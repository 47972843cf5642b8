"""The host firewall by packets: who reaches which port of a hardened host from where, by IPv4 and IPv6, also after a boot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from medsec.catalogue.controls import load_controls
from medsec.engines.base import Work, engine
from medsec.inventory import load_inventory
from medsec.lab import Lab, LabHost
from medsec.resources import root

CONTROL = "inbound_denied_by_default"
BOTH = {"zh": "测试", "en": "test"}
# A program on each of two ports, on all addresses of both families, that boot starts again.
SERVE = """
cat > /etc/systemd/system/serve@.service << 'END'
[Service]
ExecStart=/usr/bin/python3 -m http.server --bind :: --directory /usr/share/zoneinfo %i
[Install]
WantedBy=multi-user.target
END
systemctl enable --now serve@8080.service serve@9090.service
"""
HOSTS = ("walled", "known", "stranger")


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> Iterator[dict[str, LabHost]]:
    """`walled` serves two ports, one of which is registered for `known`; `stranger` is registered for nothing."""
    found = {name: lab.add_host(name, kind="server") for name in HOSTS}
    found["beyond"] = lab.add_host("beyond", kind="terminal", zone="rec")
    (found["gateway"],) = lab.up(["gateway"])
    found["walled"].run_as_root(SERVE).check_returncode()
    yield found
    for name in (*HOSTS, "beyond"):
        lab.remove_host(name)


def console(host: LabHost) -> list[str]:
    """Return the addresses of this machine in the host's zone, from which it is administered."""
    return [f"{host.address.rpartition('.')[0]}.1/32", f"{host.ipv6.rpartition('::')[0]}::1/128"]


def entry(host: LabHost, **more: Any) -> dict[str, Any]:
    ssh = {"port": 22, "process": "sshd", "sources": ["management"], "purpose": BOTH}
    about = dict.fromkeys(("department", "location", "purpose"), BOTH)
    more["listens"] = [ssh, *more.get("listens", [])]
    return {"kind": host.kind, "os_family": "debian", "address": host.address, "owner": "test", **about, **more}


def harden(lab: Lab, hosts: dict[str, LabHost], folder: Path, engine_name: str, names: list[str]) -> None:
    sets = {
        "management": [address for name in ("walled", "beyond") for address in console(hosts[name])],
        "known": [f"{hosts['known'].address}/32", f"{hosts['known'].ipv6}/128"],
        "beyond": [f"{hosts['beyond'].address}/32", f"{hosts['beyond'].ipv6}/128"],
        "walled": [f"{hosts['walled'].address}/32", f"{hosts['walled'].ipv6}/128"],
    }
    port = {"port": 8080, "process": "python3.11", "sources": ["known", "beyond"], "purpose": BOTH}
    flow = {"sources": ["beyond"], "destinations": ["walled"], "port": 8080, "purpose": BOTH}
    registered = {
        "walled": entry(hosts["walled"], listens=[port]),
        "gateway": entry(hosts["gateway"], forwards=[flow]),
    }
    ledger = {
        "institution": BOTH,
        "address_sets": sets,
        "time_sources": ["192.0.2.1"],
        "hosts": registered,
    }
    login = {
        "ansible_user": "admin",
        "ansible_become": True,
        "ansible_ssh_private_key_file": str(lab.identity_path),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={lab.known_hosts_path}",
    }
    logins = {name: {"ansible_host": hosts[name].address, **login} for name in registered}
    (folder / "group_vars/all").mkdir(parents=True)
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": logins}}), encoding="utf-8")
    (folder / "group_vars/all/ledger.yml").write_text(yaml.safe_dump({"ledger": ledger}), encoding="utf-8")
    todo = {name: [CONTROL] for name in names}
    work = Work(load_inventory(folder), load_controls(root() / "roles"), todo, "apply")
    result = engine(engine_name).run(work, lambda event: None)
    for name in names:
        outcome = result.outcomes[name, CONTROL]
        assert outcome.failed is None, outcome.failed
        assert outcome.changed > 0


def seen(source: LabHost, target: LabHost) -> dict[tuple[int, str], bool]:
    """Return what `source` sees of the target's ports, by family.

    A port is open or silent; one that answers "closed" would mean that nothing listens there, and prove nothing.
    """
    families = {"IPv4": target.address, "IPv6": target.ipv6}
    asked = [(port, family) for port in (22, 8080, 9090) for family in families]
    tries = [
        f"{{ timeout 3 bash -c ': < /dev/tcp/{families[family]}/{port}'; echo {port} {family} $?; }} &"
        for port, family in asked
    ]
    done = source.ssh(" ".join([*tries, "wait"]))
    codes = {(int(port), family): code for port, family, code in map(str.split, done.stdout.splitlines())}
    assert set(codes) == set(asked), done.stderr
    assert set(codes.values()) <= {"0", "124"}, f"{source.name} to {target.name}: {codes} {done.stderr}"
    return {port: code == "0" for port, code in codes.items()}


OPEN = {(port, family): True for port in (22, 8080, 9090) for family in ("IPv4", "IPv6")}
SHUT = dict.fromkeys(OPEN, False)
ONLY_REGISTERED = SHUT | {(8080, "IPv4"): True, (8080, "IPv6"): True}


@pytest.mark.parametrize("engine_name", ["pyinfra", "ansible"])
def test_only_registered_sources_reach_only_their_ports(
    lab: Lab, hosts: dict[str, LabHost], tmp_path: Path, engine_name: str
) -> None:
    walled, known, stranger = (hosts[name] for name in HOSTS)
    walled.run_as_root("nft flush ruleset; systemctl disable nftables.service").check_returncode()
    assert seen(known, walled) == OPEN, "before: everything is open, or what is shut later proves nothing"
    assert seen(stranger, walled) == OPEN

    harden(lab, hosts, tmp_path, engine_name, ["walled"])
    assert seen(known, walled) == ONLY_REGISTERED
    assert seen(stranger, walled) == SHUT
    assert walled.ssh("true").returncode == 0, "the operator must get in again"
    # A host whose neighbours cannot find it would be silent too: it still answers to what IPv6 itself needs.
    assert known.ssh(f"ping -c 1 -W 3 {walled.ipv6}").returncode == 0

    lab.stop("walled")
    lab.start("walled")
    assert seen(known, walled) == ONLY_REGISTERED, "after a boot"
    assert seen(stranger, walled) == SHUT


def test_a_gateway_forwards_only_registered_flows(lab: Lab, hosts: dict[str, LabHost], tmp_path: Path) -> None:
    walled, beyond, gateway = hosts["walled"], hosts["beyond"], hosts["gateway"]
    walled.run_as_root("nft flush ruleset").check_returncode()
    gateway.run_as_root("nft flush ruleset").check_returncode()
    assert seen(beyond, walled) == OPEN, "before: the gateway forwards everything"

    harden(lab, hosts, tmp_path, "pyinfra", ["gateway"])
    assert seen(beyond, walled) == ONLY_REGISTERED
    assert gateway.ssh("true").returncode == 0
