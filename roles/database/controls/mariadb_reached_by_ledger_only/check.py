"""Compares with the ledger who reaches each running server: its sockets, accounts and the connections that it has now."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes import mariadb
from medsec.probes.mariadb import Account, Network, Server
from medsec.text import Text, says

# Methods whose secret the server keeps; others ask PAM, Kerberos or the system.
_BY_SECRET = ("mysql_native_password", "mysql_old_password", "ed25519")
_OFF = ("off", "0", "false", "no")
_LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def check(host: Host, params: Params) -> None:
    servers = mariadb.servers(host)
    assert servers, says(
        en="the ledger says that MariaDB runs here, and no MariaDB server is running",
        zh="台账登记本机运行 MariaDB，但没有正在运行的 MariaDB 服务",
    )
    for server in servers:
        complaints = list(complaints_of(server, params))
        assert not complaints, says(
            en=f"{server.name}: {'; '.join(text.en for text in complaints)}",
            zh=f"{server.name}：{'；'.join(text.zh for text in complaints)}",
        )


def complaints_of(server: Server, params: Params) -> Iterator[Text]:
    """Say everything that lets somebody reach `server` whom the ledger does not name."""
    ports = [port for _, port in server.listening()] or [int(server.options.get("port", "3306"))]
    permitted = _permitted(params, ports)
    yield from _without_grants(server)
    yield from _sockets(server, permitted)
    yield from _accounts(server, permitted)
    if server.value("local_infile") != "OFF":
        yield says(
            en="local_infile is ON: a server may ask clients for their files",
            zh="local_infile 为 ON：可借 LOAD DATA LOCAL 读取客户端文件",
        )
    elif server.options.get("local_infile", "ON").lower() not in _OFF:
        yield says(en="after a restart local_infile is ON", zh="重启后 local_infile 为 ON")


def _without_grants(server: Server) -> Iterator[Text]:
    """Without its grants the server lets everybody do everything, whatever its accounts say."""
    if server.rows.get("me") == [["@"]]:
        yield says(
            en="it runs without its grants (skip_grant_tables) and lets everybody in: restart it without that option",
            zh="当前以 skip_grant_tables 方式运行，任何人都可以登录：请去除该选项后重启",
        )
    if server.options.get("skip_grant_tables", "OFF").lower() not in _OFF:
        yield says(
            en="skip_grant_tables is set: now or after a restart everybody is let in",
            zh="设置了 skip_grant_tables：当前或重启后任何人都可以登录",
        )


def _permitted(params: Params, ports: Sequence[int]) -> list[Network]:
    """Return the networks that the ledger lets reach MariaDB at one of `ports`; none where it is registered for this host alone."""
    return [
        ipaddress.ip_network(network)
        for entry in params.listens
        if entry["process"] in ("mariadbd", "mysqld") and entry["protocol"] == "tcp" and entry["port"] in ports
        for name in entry["sources"]
        if name != "local"
        for network in params.address_sets[name]
    ]


def _within(network: Network, permitted: Iterable[Network]) -> bool:
    """Whether all of `network` is permitted; networks side by side count as one."""
    ranges: list[Network] = []
    for version in (4, 6):
        alike = [one for one in (*permitted, *_LOOPBACK) if one.version == version]
        ranges += ipaddress.collapse_addresses(alike)  # type: ignore[type-var]
    return any(one.version == network.version and network.subnet_of(one) for one in ranges)  # type: ignore[arg-type]


def _sockets(server: Server, permitted: Sequence[Network]) -> Iterator[Text]:
    loopback = ("localhost", "127.", "::1")
    open_at = [f"{address}:{port}" for address, port in server.listening() if not address.startswith(loopback)]
    if open_at and not permitted:
        yield says(
            en=f"it listens at {', '.join(open_at)}, and the ledger registers no other host for that",
            zh=f"监听 {'、'.join(open_at)}，台账未登记其他主机可以访问",
        )
    bound = server.options.get("bind_address", "*")
    closed = server.options.get("skip_networking", "OFF").lower() not in _OFF
    if not (permitted or closed or open_at) and not all(
        word.strip().startswith(loopback) for word in bound.split(",")
    ):
        yield says(
            en=f"after a restart it listens at {bound}, and the ledger registers no other host for that",
            zh=f"重启后监听 {bound}，台账未登记其他主机可以访问",
        )
    for address, port in server.peers():
        if not _within(ipaddress.ip_network(address), permitted):
            yield says(
                en=f"{address} is connected to port {port}, which the ledger does not let it reach",
                zh=f"{address} 正连接端口 {port}，台账未登记该地址可以访问",
            )


def _accounts(server: Server, permitted: Sequence[Network]) -> Iterator[Text]:
    for account in server.accounts:
        if account.locked:
            continue
        if not account.user:
            yield says(en=f"{account.name} has no name: anybody is let in", zh=f"存在匿名账户 {account.name}")
        elif account.rules:
            yield from _administrator(account)
        elif account.host != "localhost" and not _is_known(account, permitted):
            yield says(
                en=f"{account.name} may come from where the ledger registers nobody: narrow its host "
                "(RENAME USER) to the application's address, or correct the ledger",
                zh=f"账户 {account.name} 的来源范围超出台账登记：请将其主机部分改为应用服务器地址（RENAME USER），或更正台账",
            )
        if account.user and account.writes_grants and account.by_password and not account.rules:
            yield says(
                en=f"{account.name} may write the tables of grants and give itself any right: grant it its own databases only, not *.* or mysql",
                zh=f"账户 {account.name} 可写授权表，能够自行提升权限：应只授予其业务库的权限，不应授予 *.* 或 mysql",
            )
        if account.user and any(state == "empty" and plugin in _BY_SECRET for plugin, state in account.ways):
            yield says(en=f"{account.name} needs no password", zh=f"账户 {account.name} 无需口令")
    for user, _, database in server.rows.get("anybody", ()):
        yield says(
            en=f"every account may use database {database} (granted to {user or 'nobody by name'})",
            zh=f"任何账户都可以使用数据库 {database}（授权对象为{user or '匿名'}）",
        )


def _is_known(account: Account, permitted: Sequence[Network]) -> bool:
    network = account.network()
    return network is not None and _within(network, permitted)


def _administrator(account: Account) -> Iterator[Text]:
    if account.host != "localhost":
        yield says(
            en=f"{account.name} may do anything and comes over the network: administration is local (ACCOUNT LOCK)",
            zh=f"账户 {account.name} 拥有管理权限且可从网络登录：数据库应采用本地管理方式（ACCOUNT LOCK）",
        )
    elif account.by_password:
        yield says(
            en=f"{account.name} may do anything and gets in by a password, not by unix_socket alone",
            zh=f"账户 {account.name} 拥有管理权限且可用口令登录，应仅允许 unix_socket 认证",
        )
