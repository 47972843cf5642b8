"""Makes TLS handshakes with each running server, and follows its rules to who may come, and who comes, without."""

from __future__ import annotations

from collections.abc import Iterator

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes import handshakes
from medsec.probes.postgresql_access import LOOPBACK, Access, servers
from medsec.text import Text, says

_ON = ("on", "true", "yes", "1")
_MODERN = ("tlsv1.2", "tlsv1.3")


def check(host: Host, params: Params) -> None:
    found = servers(host)
    assert found, says(
        en="the ledger says that PostgreSQL runs here, and no PostgreSQL server is running",
        zh="台账登记本机运行 PostgreSQL，但没有正在运行的 PostgreSQL 服务",
    )
    problems = [
        says(en=f"{server.name}: {problem.en}", zh=f"{server.name}：{problem.zh}")
        for server in found
        if _reached(server, params)
        for problem in (*_offered(server, params.days), *_not_required(server, params), *_connected(server))
    ]
    assert not problems, says(en="; ".join(p.en for p in problems), zh="；".join(p.zh for p in problems))


def _reached(server: Access, params: Params) -> bool:
    """Whether other hosts reach it, or will once it listens as the ledger says: on loopback nothing is transferred."""
    names = [name for name in server.listens.replace(" ", "").split(",") if name]
    beyond = [name for name in names if name not in ("localhost", "::1") and not name.startswith("127.")]
    registered = any(
        entry["port"] == server.port and entry["protocol"] == "tcp" and set(entry["sources"]) != {"local"}
        for entry in params.listens
    )
    return bool(beyond or (names and registered) or "listen_addresses" in server.pending)


def _offered(server: Access, days: int) -> Iterator[Text]:
    now, later = server.tls["ssl"]
    if now != "on":
        yield says(en="it offers no TLS (ssl is off)", zh="未提供 TLS（ssl 为 off）")
        if later.lower() in _ON:
            yield says(
                en="its files say ssl = on: it has not been reloaded, or could not use its certificate",
                zh="配置文件中 ssl 为 on：尚未重新加载，或证书无法使用",
            )
        return
    if later.lower() not in _ON:
        yield says(en="after a reload it offers no TLS (ssl = off)", zh="重新加载后将不再提供 TLS（ssl = off）")
    least = server.tls.get("ssl_min_protocol_version", ("TLSv1.2", "TLSv1.2"))
    for value, when, then in ((least[0], "", ""), (least[1], "after a reload ", "重新加载后 ")):
        if value.lower() not in _MODERN:
            yield says(
                en=f"{when}ssl_min_protocol_version is «{value}»", zh=f"{then}ssl_min_protocol_version 为“{value}”"
            )
            break
    yield from handshakes.parse(server.shaken, server.name).shortcomings(days)


def _not_required(server: Access, params: Params) -> Iterator[Text]:
    """Offering is not enough: whoever may come without TLS does, sooner or later."""
    if server.broken or server.unread:
        yield says(
            en=f"it goes by older rules than its files have: reload it, or mend {', '.join(server.broken or server.unread)}",
            zh=f"服务仍按旧的访问规则运行，请重新加载或修正：{'、'.join(server.broken or server.unread)}",
        )
    told = set()
    for way in server.ways():
        beyond = way.addresses - LOOPBACK - server.own if way.addresses is not None else None
        if way.kind == "plain" and beyond and str(way.rule) not in told:
            told.add(str(way.rule))
            yield says(
                en=f"{way.rule} lets {beyond} in without encryption",
                zh=f"{way.rule} 允许 {beyond} 不加密连接",
            )
    if told and not params.required:
        yield says(
            en="once all of them use TLS (pg_stat_ssl), set postgresql_connections_encrypted_required: true and apply again",
            zh="确认上述客户端均已使用 TLS（pg_stat_ssl）后，设置 postgresql_connections_encrypted_required: true 并再次整改",
        )


def _connected(server: Access) -> Iterator[Text]:
    plain = sorted(
        f"{peer.role} ({peer.address})" for peer in server.peers if peer.plain and not server.at_home(peer)
    )
    if plain:
        yield says(
            en=f"connected now without encryption: {', '.join(plain)}; give these clients sslmode=require (or their driver's like)",
            zh=f"当前有未加密的连接：{'、'.join(plain)}；请在客户端设置 sslmode=require（或驱动的同类选项）",
        )
