"""The flows that people's work depends on: what the ledger lets through must still get through after a change."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

import paramiko

from medsec.errors import HostUnreachable
from medsec.inventory import Host, Inventory
from medsec.judge.ssh import open_clients
from medsec.judge.transport import Limits
from medsec.text import Text, says

_SECONDS = 5
# Bytes that are read of an answer; a login may print words of its own.
_MOST = 64 * 1024


@dataclass(frozen=True)
class Flow:
    """A TCP port that `source` is registered to reach at `address`."""

    source: str
    address: str
    port: int
    purpose: Text

    @property
    def text(self) -> Text:
        return says(
            en=f"{self.source} -> {self.address}:{self.port} ({self.purpose.en})",
            zh=f"{self.source} → {self.address}:{self.port}（{self.purpose.zh}）",
        )


def flows(inventory: Inventory, host: Host) -> list[Flow]:
    """Return the flows of the ledger that end at `host`, one source for each port, and those that it starts itself."""
    found = []
    for entry in host.ledger.listens:
        source = next(
            (other for other in inventory.hosts.values() if _may(inventory, other, host, entry.sources)), None
        )
        if entry.protocol == "tcp" and source is not None:
            found.append(Flow(source.name, host.ledger.address, entry.port, entry.purpose.text))
    found += [Flow(host.name, entry.address, entry.port, entry.purpose.text) for entry in host.ledger.reaches]
    return found


def answering(inventory: Inventory, wanted: Iterable[Flow]) -> list[Flow]:
    """Return those of `wanted` that work now, tried from their source itself over a fresh login.

    A source that cannot be asked is no proof either way: its flows are not among the answer.
    """
    by_source: dict[str, list[Flow]] = {}
    for flow in wanted:
        by_source.setdefault(flow.source, []).append(flow)
    return [flow for source, group in by_source.items() for flow in _tried(inventory.hosts[source], group)]


def _tried(source: Host, group: list[Flow]) -> list[Flow]:
    try:
        clients = open_clients(source, Limits(connect=10))
    except HostUnreachable:
        return []
    try:
        script = "\n".join(
            f"if timeout {_SECONDS} bash -c {shlex.quote(f'exec 3<>/dev/tcp/{flow.address}/{flow.port}')} 2> /dev/null; "
            f"then echo answers-{index}; fi"
            for index, flow in enumerate(group)
        )
        _, out, _ = clients[-1].exec_command(f"sh -c {shlex.quote(script)}", timeout=_SECONDS * len(group) + 20)
        answered = {
            int(number) for number in re.findall(rb"^answers-([0-9]{1,4})$", out.read(_MOST), re.MULTILINE)
        }
        return [flow for index, flow in enumerate(group) if index in answered]
    except (OSError, EOFError, paramiko.SSHException):
        return []
    finally:
        for client in reversed(clients):
            client.close()


def _may(inventory: Inventory, source: Host, target: Host, sets: list[str]) -> bool:
    if source.name == target.name:
        return False
    address = ipaddress.ip_address(source.ledger.address)
    networks = [network for name in sets if name != "local" for network in inventory.ledger.address_sets[name]]
    return any(address in ipaddress.ip_network(network) for network in networks)
