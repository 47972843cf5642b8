"""Follows each running server's rules to whom they let in, and tries some of them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.inventory import Params
from medsec.probes.postgresql_access import LOOPBACK, Access, Addresses, Way, servers
from medsec.text import Text, says

_PROGRAMS = ("postgres", "postmaster")


def check(host: Host, params: Params) -> None:
    found = servers(host)
    assert found, says(
        en="the ledger says that PostgreSQL runs here, and no PostgreSQL server is running",
        zh="台账登记本机运行 PostgreSQL，但没有正在运行的 PostgreSQL 服务",
    )
    problems = [
        says(en=f"{server.name}: {problem.en}", zh=f"{server.name}：{problem.zh}")
        for server in found
        for problem in _problems(server, params)
    ]
    assert not problems, says(en="; ".join(p.en for p in problems), zh="；".join(p.zh for p in problems))


def _problems(server: Access, params: Params) -> Iterator[Text]:
    sources = _sources(server.port, params)
    yield from _not_in_force(server)
    yield from _listening(server, sources)
    yield from _let_in(server, sources | LOOPBACK | server.own, frozenset(params.methods))
    yield from _mapped(server)
    yield from _connected(server, sources | LOOPBACK | server.own)
    yield from _tried(server)


def _sources(port: int, params: Params) -> Addresses:
    """Return the addresses that the ledger registers for the server on `port`."""
    return Addresses.of(
        ipaddress.ip_network(network)
        for entry in params.listens
        if entry["port"] == port and entry["protocol"] == "tcp" and _is_postgres(entry["process"])
        for name in entry["sources"]
        if name != "local"
        for network in params.address_sets[name]
    )


def _is_postgres(process: str) -> bool:
    name = process.rsplit("/", 1)[-1]
    return name in _PROGRAMS or (name.startswith("postgresql") and name.endswith(".service"))


def _not_in_force(server: Access) -> Iterator[Text]:
    """What the file says is judged below; it holds for the server only if the server has read it."""
    if server.broken:
        yield says(
            en=f"its rules cannot be parsed, so that it goes by older ones: {'; '.join(server.broken)}",
            zh=f"访问规则文件有语法错误，服务仍按旧规则运行：{'；'.join(server.broken)}",
        )
    if server.unread:
        yield says(
            en=f"{', '.join(server.unread)} changed after the server last read its settings: reload it",
            zh=f"{'、'.join(server.unread)} 修改后服务尚未重新加载，请执行 reload",
        )
    if server.pending:
        yield says(
            en=f"{', '.join(server.pending)} changed and wait for a restart",
            zh=f"{'、'.join(server.pending)} 已修改，尚待重启生效",
        )


def _listening(server: Access, sources: Addresses) -> Iterator[Text]:
    beyond = [name for name in server.listens.replace(" ", "").split(",") if name and not _is_loopback(name)]
    if beyond and not sources:
        yield says(
            en=f"it listens on «{server.listens}», and the ledger registers no addresses for it",
            zh=f"监听地址为“{server.listens}”，而台账未登记可连接该实例的地址",
        )


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _let_in(server: Access, permitted: Addresses, methods: frozenset[str]) -> Iterator[Text]:
    told: set[tuple[str, str]] = set()
    for way in server.ways():
        for kind, problem in _wrong(way, permitted, methods):
            if (kind, str(way.rule)) not in told:
                told.add((kind, str(way.rule)))
                yield problem


def _wrong(way: Way, permitted: Addresses, methods: frozenset[str]) -> Iterator[tuple[str, Text]]:
    rule = way.rule
    if way.addresses is None:
        if rule.method == "trust":
            yield (
                "trust",
                says(
                    en=f"{rule} lets everybody on the host in without a password",
                    zh=f"{rule} 允许本机任何用户免口令登录",
                ),
            )
        if way.role.superuser and rule.method != "peer":
            yield (
                "super",
                says(
                    en=f"{rule} lets the superuser {way.role.name} in by {rule.method}, not by peer",
                    zh=f"{rule} 允许超级用户 {way.role.name} 以 {rule.method} 方式登录，应仅为 peer",
                ),
            )
        return
    beyond = way.addresses - permitted
    if beyond:
        yield (
            "address",
            says(
                en=f"{rule} lets in {beyond}, which the ledger does not register",
                zh=f"{rule} 允许台账未登记的地址连接：{beyond}",
            ),
        )
    if rule.method not in methods:
        yield (
            "method",
            says(
                en=f"{rule} lets in over the network by {rule.method}; permitted: {', '.join(sorted(methods))}",
                zh=f"{rule} 允许经网络以 {rule.method} 方式登录；应为 {'、'.join(sorted(methods))}",
            ),
        )
    if way.role.superuser:
        yield (
            "super",
            says(
                en=f"{rule} lets the superuser {way.role.name} in over the network",
                zh=f"{rule} 允许超级用户 {way.role.name} 经网络登录",
            ),
        )


def _mapped(server: Access) -> Iterator[Text]:
    """A map of pg_ident.conf can make another account of the host a superuser, or any account somebody."""
    mighty = {role.name for role in server.roles if role.superuser}
    used = {
        option.removeprefix("map=")
        for way in server.ways()
        if way.role.superuser and way.rule.method == "peer"
        for option in way.rule.options
        if option.startswith("map=")
    }
    if used and server.maps is None:
        raise ProbeError(
            says(
                en=f"{server.name} is too old to show its pg_ident.conf, and its superuser logs in by the map {', '.join(used)}",
                zh=f"{server.name} 版本过旧，无法查询 pg_ident.conf，而超级用户通过映射 {'、'.join(used)} 登录",
            )
        )
    ordinary = {
        option.removeprefix("map=")
        for way in server.ways()
        if way.addresses is None and not way.role.superuser
        for option in way.rule.options
        if option.startswith("map=")
    }
    for entry in server.maps or ():
        role, account = str(entry.get("pg_username")), str(entry.get("sys_name"))
        if entry.get("map_name") in ordinary and _means_anybody(account):
            yield says(
                en=f"the map {entry['map_name']} lets any account of the host («{account}») in as {role} without a password: narrow it in pg_ident.conf",
                zh=f"映射 {entry['map_name']} 允许本机任何系统账户（“{account}”）免口令以 {role} 登录，请在 pg_ident.conf 中收窄",
            )
        mighty_too = role in mighty or role == "all" or not role[:1].isalnum()
        if entry.get("map_name") in used and mighty_too and account.startswith("/"):
            yield says(
                en=f"the map {entry['map_name']} lets any account like «{account}» be the superuser {role}",
                zh=f"映射 {entry['map_name']} 允许任何匹配“{account}”的系统账户成为超级用户 {role}",
            )


def _means_anybody(account: str) -> bool:
    """Whether a system account's name in a map takes in accounts that have nothing in common."""
    try:
        return account.startswith("/") and all(
            re.search(account[1:], name) for name in ("nobody", "www-data", "zhang3")
        )
    except re.error:
        return True


def _connected(server: Access, permitted: Addresses) -> Iterator[Text]:
    beyond = [
        f"{peer.role} ({peer.address})"
        for peer in server.peers
        if Addresses.of([ipaddress.ip_network(peer.address.partition("%")[0])]) - permitted
    ]
    if beyond:
        yield says(
            en=f"connected now from addresses that the ledger does not register: {', '.join(sorted(beyond))}",
            zh=f"当前有来自台账未登记地址的连接：{'、'.join(sorted(beyond))}",
        )


def _tried(server: Access) -> Iterator[Text]:
    """Where a trial contradicts the file, the server goes by other rules than those read here."""
    mighty = {role.name for role in server.roles if role.superuser}
    for (role, address), said in sorted(server.tried.items()):
        if said == "in":
            yield says(
                en=f"{role} was let in from {address} without a password when it was tried",
                zh=f"实测：{role} 从 {address} 免口令即可登录",
            )
        elif said == "asked" and role in mighty:
            yield says(
                en=f"the superuser {role} was asked for its password from {address} when it was tried",
                zh=f"实测：超级用户 {role} 可从 {address} 以口令登录",
            )
