"""The lab's networks: addresses that follow from numbers, one bridge for each zone, and no way out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medsec.lab import machine
from medsec.lab.definition import CONSOLE_NUMBER, GATEWAY_NUMBER, Definition, HostSpec
from medsec.lab.errors import LabError
from medsec.text import says

INDEXES = range(32)
_FIRST_NETWORK = 66
_RULE_PRIORITY = 6600
_FAMILIES = ("-4", "-6")


@dataclass(frozen=True)
class Link:
    """One virtual network card of a host: its name inside, its peer's name on this machine, and where it is plugged in."""

    inner: str
    outer: str
    mac: str
    bridge: str
    zone: str
    ipv4: str
    ipv6: str


@dataclass(frozen=True)
class Network:
    """The networks of lab number `index`."""

    definition: Definition
    index: int

    def __post_init__(self) -> None:
        if self.index not in INDEXES:
            raise LabError(
                says(
                    en=f"lab index {self.index} is not between {INDEXES[0]} and {INDEXES[-1]}",
                    zh=f"实验环境编号 {self.index} 超出范围，应为 {INDEXES[0]} 至 {INDEXES[-1]}",
                )
            )

    @property
    def prefix(self) -> str:
        """The first two octets of all IPv4 addresses, with their dots: `10.66.`."""
        return f"10.{_FIRST_NETWORK + self.index}."

    @property
    def everything(self) -> tuple[str, str]:
        """The IPv4 and the IPv6 network that holds all zones."""
        return f"{self.prefix}0.0/16", f"fd66:{self.index}::/32"

    def bridge(self, zone: str) -> str:
        """Return the name of a zone's bridge on this machine."""
        return f"ms{self.index}-{zone}"

    def ipv4(self, zone: str, number: int) -> str:
        """Return the IPv4 address of host `number` in `zone`."""
        return f"{self.prefix}{self.definition.zones[zone].number}.{number}"

    def ipv6(self, zone: str, number: int) -> str:
        """Return the IPv6 address of host `number` in `zone`."""
        return f"fd66:{self.index}:{self.definition.zones[zone].number}::{number}"

    def links(self, host: HostSpec) -> list[Link]:
        """Return a host's network cards, in the order of its zones: eth0 is the one it is reached by."""
        return [self._link(place, zone, host.number) for place, zone in enumerate(host.zones)]

    def _link(self, place: int, zone: str, number: int) -> Link:
        # Derived, not random: a host that is reset keeps its hardware address, so no neighbour has to forget the old one.
        third = self.definition.zones[zone].number
        return Link(
            inner=f"eth{place}",
            outer=f"ms{self.index}.{third}.{number}",
            mac=f"52:66:{self.index:02x}:{third:02x}:00:{number:02x}",
            bridge=self.bridge(zone),
            zone=zone,
            ipv4=self.ipv4(zone, number),
            ipv6=self.ipv6(zone, number),
        )

    def gateway(self, zone: str) -> tuple[str, str]:
        """Return the gateway's addresses in `zone`."""
        return self.ipv4(zone, GATEWAY_NUMBER), self.ipv6(zone, GATEWAY_NUMBER)

    def up(self) -> None:
        """Make the bridges that are missing; packets for hosts that are not there stay on this machine.

        Raises LabError where another interface has an address of this lab's networks: packets would go there.
        """
        self._refuse_neighbours()
        ipv4, ipv6 = self.everything
        commands = [
            f"route replace unreachable {ipv4} metric 9999",
            f"route replace unreachable {ipv6} metric 9999",
        ]
        present = set(interfaces())
        for zone in self.definition.zones:
            if self.bridge(zone) not in present:
                commands += self._new_bridge(zone)
        _ip(commands)
        for zone in self.definition.zones:
            self._settle(zone)
        # This machine is no router, even where another program makes it one: what comes in from a zone ends here.
        bound = set(_rules())
        for family in _FAMILIES:
            names = [self.bridge(zone) for zone in self.definition.zones]
            _ip([_rule("add", name) for name in names if (family, name) not in bound], family)

    def _refuse_neighbours(self) -> None:
        listed: list[dict[str, Any]] = json.loads(machine.run(["ip", "-4", "-j", "addr"]).stdout or "[]")
        for interface in listed:
            name = interface["ifname"]
            own = re.match(rf"ms{self.index}[-.]", name)
            for address in interface["addr_info"]:
                if not own and address["local"].startswith(self.prefix):
                    raise LabError(
                        says(
                            en=f"interface {name} has {address['local']}, which belongs to lab {self.index} "
                            "(`vagrant destroy` and `ip link delete` take Vagrant's away); remove it, or choose another MEDSEC_LAB_INDEX",
                            zh=f"网络接口 {name} 占用了 {address['local']}，属于实验环境 {self.index} 的网段"
                            "（Vagrant 的接口可用 `vagrant destroy` 和 `ip link delete` 移除）；请移除该接口，或改用其他 MEDSEC_LAB_INDEX",
                        )
                    )

    def _new_bridge(self, zone: str) -> list[str]:
        name = self.bridge(zone)
        third = self.definition.zones[zone].number
        return [
            f"link add {name} address 52:66:{self.index:02x}:{third:02x}:01:01 type bridge mcast_snooping 0",
            f"addr add {self.ipv4(zone, CONSOLE_NUMBER)}/24 dev {name}",
            f"addr add {self.ipv6(zone, CONSOLE_NUMBER)}/64 dev {name} nodad",
            f"link set {name} up",
        ]

    def _settle(self, zone: str) -> None:
        name = self.bridge(zone)
        for setting, value in (
            (f"ipv4/conf/{name}/forwarding", "0"),
            (f"ipv6/conf/{name}/forwarding", "0"),
            (f"ipv6/conf/{name}/accept_ra", "0"),
            (f"ipv4/conf/{name}/accept_redirects", "0"),
        ):
            Path("/proc/sys/net", setting).write_text(value, encoding="ascii")

    def down(self) -> None:
        """Remove the bridges, cards and rules of this index; the unreachable routes stay, and send nothing anywhere."""
        remove(self.index)


def interfaces() -> list[str]:
    """Return the names of this machine's network interfaces."""
    return sorted(entry.name for entry in Path("/sys/class/net").iterdir())


def indexes_present() -> set[int]:
    """Return the lab indexes of which this machine has bridges, cards or rules."""
    found = {int(match[1]) for name in interfaces() if (match := re.match(r"ms(\d+)[-.]", name))}
    return found | {int(match[1]) for _, name in _rules() if (match := re.match(r"ms(\d+)-", name))}


def remove(index: int) -> None:
    """Remove the cards, bridges and rules of lab `index`, whoever made them."""
    for name in interfaces():
        if re.match(rf"ms{index}[-.]", name) and Path("/sys/class/net", name).exists():
            _ip([f"link delete {name}"], tolerate="Cannot find device")
    for family, name in _rules():
        if name.startswith(f"ms{index}-"):
            _ip([_rule("delete", name)], family)


def _rule(action: str, bridge: str) -> str:
    return f"rule {action} iif {bridge} priority {_RULE_PRIORITY} type unreachable"


def _rules() -> list[tuple[str, str]]:
    found = []
    for family in _FAMILIES:
        listed: list[dict[str, Any]] = json.loads(machine.run(["ip", family, "-j", "rule"]).stdout or "[]")
        found += [(family, rule["iif"]) for rule in listed if rule.get("priority") == _RULE_PRIORITY]
    return found


def _ip(commands: list[str], family: str | None = None, tolerate: str | None = None) -> None:
    try:
        machine.run(["ip", *([family] if family else []), "-batch", "-"], text="\n".join(commands) + "\n")
    except LabError as error:
        if tolerate is None or tolerate not in str(error):
            raise
