"""What stops when a host is cut off, as the ledger has it: told before, so that the one who decides knows."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence

from medsec.inventory import Host, Inventory
from medsec.isolation.rules import Management
from medsec.text import Text, says


def effect(inventory: Inventory, host: Host, left: Management) -> list[Text]:
    """Return what the ledger registers to and through `host` and what `host` itself needs, a line each.

    + left: who still gets in
    """
    return [
        *_served(inventory, host, left),
        *_forwarded(host),
        *_needed(inventory, host, left),
        *_led_through(inventory, host),
    ]


def _served(inventory: Inventory, host: Host, left: Management) -> Iterator[Text]:
    for entry in host.ledger.listens:
        stays = entry.protocol == "tcp" and entry.port in left.ports
        sources = [name for name in entry.sources if name != "local" and not (stays and name == left.name)]
        if sources:
            clients = _names(inventory, host, sources)
            yield says(
                en=f"{entry.protocol} {entry.port} ({entry.purpose.en}) serves {', '.join(sources)}: {', '.join(clients) or 'no host of the ledger'}",
                zh=f"{entry.protocol} {entry.port}（{entry.purpose.zh}）服务于 {'、'.join(sources)}：{'、'.join(clients) or '台账中没有相应主机'}",
            )


def _forwarded(host: Host) -> Iterator[Text]:
    for entry in host.ledger.forwards:
        way = f"{', '.join(entry.sources)} -> {', '.join(entry.destinations)} {entry.protocol} {entry.port}"
        yield says(
            en=f"goes through it: {way} ({entry.purpose.en})", zh=f"经该主机转发：{way}（{entry.purpose.zh}）"
        )


def _needed(inventory: Inventory, host: Host, left: Management) -> Iterator[Text]:
    for entry in host.ledger.reaches:
        yield says(
            en=f"it needs {entry.address}:{entry.port} ({entry.purpose.en})",
            zh=f"该主机依赖 {entry.address}:{entry.port}（{entry.purpose.zh}）",
        )
    for other in inventory.hosts.values():
        for port in other.ledger.listens:
            sets = [name for name in port.sources if name not in ("local", left.name)]
            if other.name != host.name and host.name in _names(inventory, other, sets):
                yield says(
                    en=f"it uses {other.name} {port.protocol} {port.port} ({port.purpose.en})",
                    zh=f"该主机使用 {other.name} 的 {port.protocol} {port.port}（{port.purpose.zh}）",
                )


def _led_through(inventory: Inventory, host: Host) -> Iterator[Text]:
    behind = [
        other.name
        for other in inventory.hosts.values()
        if any(
            address in (other.login.way or "") for address in (host.ledger.address, host.login.address, host.name)
        )
    ]
    if behind:
        yield says(
            en=f"the way of administration to {', '.join(behind)} leads through it and is cut",
            zh=f"管理 {'、'.join(behind)} 的连接经过该主机，将一并中断",
        )


def _names(inventory: Inventory, host: Host, sets: Sequence[str]) -> list[str]:
    """Return the hosts of the ledger, other than `host`, whose address is in one of `sets`."""
    networks = [ipaddress.ip_network(text) for name in sets for text in inventory.ledger.address_sets[name]]
    return [
        name
        for name, address in _addresses(inventory)
        if name != host.name and any(address in n for n in networks)
    ]


def _addresses(
    inventory: Inventory,
) -> Iterable[tuple[str, ipaddress.IPv4Address | ipaddress.IPv6Address]]:
    return ((other.name, ipaddress.ip_address(other.ledger.address)) for other in inventory.hosts.values())
