"""What cuts a host off: a table of its own in nftables, and the unit that puts it in force at boot and keeps it there."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from medsec.packetfilter.host_rules import ISOLATION

TABLE = ISOLATION
HOME = "/etc/medsec/isolation"
RULES, RECORD, BEFORE = f"{HOME}/rules.nft", f"{HOME}/record", f"{HOME}/before.nft"
UNITS = "/etc/systemd/system"
SERVICE, TIMER = "medsec-isolation.service", "medsec-isolation.timer"
# Before whatever else a host filters or rewrites.
_PRIORITY = -350


@dataclass(frozen=True)
class Management:
    """Who still gets in: the ledger's address set of that name, and the ports of SSH."""

    name: str
    networks: tuple[str, ...]
    ports: tuple[int, ...]

    def lets_in(self, address: str, port: int) -> bool:
        """Return whether SSH from `address` to the host's `port` goes on."""
        client: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
        client = getattr(client, "ipv4_mapped", None) or client
        return port in self.ports and any(client in ipaddress.ip_network(network) for network in self.networks)


def rules(management: Management) -> str:
    """Return the script for nft that cuts the host off, whole or not at all, however often it is run.

    Nothing passes because its connection was there before: addresses and ports decide, not conntrack, which also begins
    to follow connections only when a rule asks for it. A program on the host that sends from the port of SSH can answer
    administrators and begin nothing.
    """
    by_version = {
        version: [text for text in management.networks if ipaddress.ip_network(text).version == version]
        for version in (4, 6)
    }
    ports = ", ".join(map(str, management.ports))
    families = [(version, family) for version, family in ((4, "ip"), (6, "ip6")) if by_version[version]]
    lines = [
        f"table inet {TABLE}",
        f"delete table inet {TABLE}",
        f"table inet {TABLE} {{",
        *(line for version, _ in families for line in _set(version, by_version[version])),
        *_chain("input"),
        '\t\tiifname "lo" accept',
        *(
            f"\t\t{family} saddr @management_v{version} tcp dport {{ {ports} }} accept"
            for version, family in families
        ),
        "\t\tct state related icmp type destination-unreachable accept",
        "\t\tct state related icmpv6 type { destination-unreachable, packet-too-big } accept",
        *_neighbours(bool(by_version[6]), "mld-listener-query"),
        '\t\tlimit rate 10/minute burst 5 packets log prefix "MEDSEC-ISOLATED-IN "',
        "\t}",
        *_chain("forward"),
        "\t}",
        *_chain("output"),
        '\t\toifname "lo" accept',
        *(
            f"\t\t{family} daddr @management_v{version} tcp sport {{ {ports} }} tcp flags & (syn | ack) != syn accept"
            for version, family in families
        ),
        *_neighbours(bool(by_version[6]), "mld-listener-report, mld2-listener-report"),
        '\t\tlimit rate 10/minute burst 5 packets log prefix "MEDSEC-ISOLATED-OUT "',
        # The host's own programs are told at once; else each login would wait for a name server.
        "\t\tmeta l4proto tcp reject with tcp reset",
        "\t\treject with icmpx admin-prohibited",
        "\t}",
        "}",
    ]
    return "".join(f"{line}\n" for line in lines)


def _set(version: int, networks: Sequence[str]) -> list[str]:
    return [
        f"\tset management_v{version} {{",
        f"\t\ttype ipv{version}_addr",
        "\t\tflags interval",
        "\t\tauto-merge",
        f"\t\telements = {{ {', '.join(networks)} }}",
        "\t}",
    ]


def _chain(hook: str) -> list[str]:
    return [f"\tchain {hook} {{", f"\t\ttype filter hook {hook} priority {_PRIORITY}; policy drop;"]


def _neighbours(wanted: bool, listeners: str) -> list[str]:
    """Without neighbour discovery nobody is reached by IPv6, the administrators included; it never leaves the segment."""
    if not wanted:
        return []
    return [
        "\t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept",
        f"\t\ticmpv6 type {{ {listeners} }} accept",
    ]


def service() -> str:
    """Return the unit that puts the table in force: before the network, behind the rule set that flushes all others."""
    return f"""\
[Unit]
Description=Isolation by medsec: nothing but management gets through
Documentation=man:nft(8)
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
After=nftables.service
Conflicts=shutdown.target
[Service]
Type=oneshot
ExecStart=nft -f {RULES}
# It runs every few seconds.
LogLevelMax=notice
[Install]
WantedBy=sysinit.target
"""


def timer() -> str:
    """Return the timer that puts the table back: `nft flush ruleset`, which loading another rule set does, takes it away."""
    return f"""\
[Unit]
Description=Keep the isolation by medsec in force
[Timer]
OnActiveSec=5
OnUnitInactiveSec=5
AccuracySec=1s
Unit={SERVICE}
[Install]
WantedBy=timers.target
"""
