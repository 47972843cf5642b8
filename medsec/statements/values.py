"""What a pack is rendered with: the inventory's values, and the ledger's application servers."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from medsec.errors import UsageError
from medsec.inventory.hosts import Host
from medsec.inventory.ledger import Ledger
from medsec.statements.pack import Need, Pack
from medsec.text import says

PREFIX = "database_statements_"


@dataclass(frozen=True)
class Values:
    """The parameters in force, and who may connect."""

    parameters: dict[str, Any]
    # The host's name and address; None where a pack is asked for without a host.
    host: str | None = None
    own: tuple[str, ...] = ()
    # Networks of the application servers, or None where nobody can know them.
    clients: tuple[str, ...] | None = None

    @property
    def only_client(self) -> str | None:
        """The application server's address, where there is exactly one."""
        if self.clients is None or len(self.clients) != 1:
            return None
        network = ipaddress.ip_network(self.clients[0])
        return str(network.network_address) if network.num_addresses == 1 else None

    def has(self, need: Need) -> bool:
        """Whether the part that needs `need` can be made."""
        if need == "clients":
            return self.clients is not None
        return bool(self.only_client if need == "only_client" else self.parameters[need])

    def variables(self) -> dict[str, Any]:
        """Return what the templates see."""
        return {
            **self.parameters,
            "own": list(self.own),
            "clients": list(self.clients or ()),
            "only_client": self.only_client,
        }


def values_for(pack: Pack, host: Host | None = None, ledger: Ledger | None = None) -> Values:
    """Return the values of `pack` for `host`, or its defaults without one.

    Raises UsageError for a value that does not fit, a variable that is no parameter, a host whose ledger entry does not
    name the product, one without a registered listener of it, and for IPv6 networks.
    """
    if host is None or ledger is None:
        return Values({name: parameter.default for name, parameter in pack.parameters.items()})
    if pack.runs not in host.ledger.runs:
        raise UsageError(
            says(
                en=f"host {host.name}: the ledger's `runs` is {host.ledger.runs}; add {pack.runs!r} for statements of {pack.product}",
                zh=f"主机 {host.name}：台账 runs 为 {host.ledger.runs}；需要 {pack.product} 的语句请先登记 {pack.runs!r}",
            )
        )
    return Values(
        parameters=_parameters(pack, host),
        host=host.name,
        own=("127.0.0.1", _ipv4(host, host.ledger.address).split("/", maxsplit=1)[0]),
        clients=_clients(pack, host, ledger),
    )


def _parameters(pack: Pack, host: Host) -> dict[str, Any]:
    known = {f"{PREFIX}{name}" for name in pack.parameters}
    for variable in host.variables:
        if variable.startswith(PREFIX) and variable not in known:
            accepted = ", ".join(sorted(known))
            raise UsageError(
                says(
                    en=f"host {host.name}: {variable} is no parameter of the statements; accepted: {accepted}",
                    zh=f"主机 {host.name}：数据库语句没有参数 {variable}；可用：{accepted}",
                )
            )
    values: dict[str, Any] = {}
    for name, parameter in pack.parameters.items():
        names = [f"{PREFIX}{name}", *([parameter.also] if parameter.also else [])]
        given = next((variable for variable in names if variable in host.variables), None)
        value = parameter.default if given is None else host.variables[given]
        if problem := parameter.problem_with(value):
            raise UsageError(
                says(
                    en=f"host {host.name}: {given} {problem}",
                    zh=f"主机 {host.name}：{given} 取值有误：{problem}",
                )
            )
        values[name] = value
    return values


def _clients(pack: Pack, host: Host, ledger: Ledger) -> tuple[str, ...]:
    entries = [e for e in host.ledger.listens if e.process in pack.processes or e.port in pack.ports]
    if not entries:
        processes = ", ".join(pack.processes)
        raise UsageError(
            says(
                en=f"host {host.name}: the ledger registers no listener of {pack.product} (process {processes}, or port "
                f"{pack.ports[0]}); register it with its sources under `listens`",
                zh=f"主机 {host.name}：台账未登记 {pack.product} 的监听（进程 {processes} 或端口 {pack.ports[0]}）；"
                "请在 listens 中登记并写明来源",
            )
        )
    sources = dict.fromkeys(name for entry in entries for name in entry.sources if name != "local")
    networks = [network for name in sources for network in ledger.address_sets[name]]
    return tuple(dict.fromkeys(_ipv4(host, network) for network in networks))


def _ipv4(host: Host, address: str) -> str:
    network = ipaddress.ip_network(address)
    if isinstance(network, ipaddress.IPv6Network):
        raise UsageError(
            says(
                en=f"host {host.name}: {address} is IPv6, which the statements do not speak of; write them by hand",
                zh=f"主机 {host.name}：{address} 为 IPv6 地址，语句模板暂不支持，请手工编写",
            )
        )
    return str(network)
