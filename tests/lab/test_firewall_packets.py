"""The host firewall by packets: who reaches which port of a hardened host from where, by IPv4 and IPv6, also after a boot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from medsec.lab import Lab, LabHost
from tests import ledger_site as site

# One worker: the hosts are started once.
pytestmark = pytest.mark.xdist_group("packets")

CONTROL = "inbound_denied_by_default"
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
    lab.reset("gateway")  # other tests of this worker count on a plain one
    lab.stop("gateway")


def harden(lab: Lab, hosts: dict[str, LabHost], folder: Path, engine_name: str, names: list[str]) -> None:
    both_families = {name: [f"{host.address}/32", f"{host.ipv6}/128"] for name, host in hosts.items()}
    managed = [*site.console(hosts["walled"]), *site.console(hosts["beyond"])]
    port = {"port": 8080, "process": "python3.11", "sources": ["known", "beyond"], "purpose": site.BOTH}
    flow = {"sources": ["beyond"], "destinations": ["walled"], "port": 8080, "purpose": site.BOTH}
    entries = {
        "walled": site.entry(hosts["walled"], listens=[port]),
        "gateway": site.entry(hosts["gateway"], forwards=[flow]),
    }
    inventory = site.write(folder, lab, hosts, entries, {"management": managed, **both_families})
    for outcome in site.remedy(inventory, CONTROL, names, engine_name).values():
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


@pytest.mark.parametrize("engine_name", ["pyinfra", "ansible"])
def test_rules_that_would_shut_the_operator_out_are_refused(
    lab: Lab, hosts: dict[str, LabHost], tmp_path: Path, engine_name: str
) -> None:
    walled = hosts["walled"]
    walled.run_as_root("nft flush ruleset").check_returncode()
    elsewhere = {"management": ["192.0.2.0/24"]}
    inventory = site.write(tmp_path, lab, hosts, {"walled": site.entry(walled)}, elsewhere)
    outcome = site.remedy(inventory, CONTROL, ["walled"], engine_name)["walled"]
    assert outcome.failed is not None
    assert "would shut out the operator's own SSH connection" in outcome.failed
    assert walled.ssh("sudo -n nft list ruleset").stdout.strip() == "", "nothing was loaded"
