"""Makes TLS handshakes with each running server, and looks whether anybody may come over the network without."""

from __future__ import annotations

from collections.abc import Iterator

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes import handshakes, mariadb
from medsec.probes.mariadb import Account, Server
from medsec.text import Text, says

_OFF = ("off", "0", "false", "no")
_LOCAL = ("localhost", "127.0.0.1", "::1")


def check(host: Host, params: Params) -> None:
    servers = mariadb.servers(host)
    assert servers, says(
        en="the ledger says that MariaDB runs here, and no MariaDB server is running",
        zh="台账登记本机运行 MariaDB，但没有正在运行的 MariaDB 服务",
    )
    problems = [
        says(en=f"{server.name}: {problem.en}", zh=f"{server.name}：{problem.zh}")
        for server in servers
        if _reached(server, params)
        for problem in (*_offered(server, params.days), *_not_required(server, params))
    ]
    assert not problems, says(en="; ".join(p.en for p in problems), zh="；".join(p.zh for p in problems))


def _reached(server: Server, params: Params) -> bool:
    """Whether other hosts reach it, or will once it listens as the ledger says: on loopback nothing is transferred."""
    listening = server.listening()
    registered = any(
        entry["port"] == port and entry["protocol"] == "tcp" and set(entry["sources"]) != {"local"}
        for entry in params.listens
        for _, port in listening
    )
    return registered or any(not address.startswith(("127.", "::1")) for address, _ in listening)


def _offered(server: Server, days: int) -> Iterator[Text]:
    yield from handshakes.parse(server.rows.get("tls", ()), server.name).shortcomings(days)
    old = [word for word in (server.value("tls_version") or "").split(",") if word not in ("TLSv1.2", "TLSv1.3")]
    if old:
        yield says(en=f"tls_version allows {', '.join(old)}", zh=f"tls_version 允许 {'、'.join(old)}")
    off = server.options.get("ssl", "ON").lower() in _OFF
    # From version 11.4 on a server without a certificate makes itself one.
    makes_its_own = tuple(map(int, (server.value("version") or "0.0").split(".")[:2])) >= (11, 4)
    if off or not (makes_its_own or server.options.get("ssl_key")):
        yield says(
            en="after a restart it offers no TLS: no option file names its key",
            zh="重启后不提供 TLS：配置文件未指定私钥",
        )


def _not_required(server: Server, params: Params) -> Iterator[Text]:
    """Offering is not enough: MariaDB does not tell whose connections are encrypted, so that each account must need it, or all."""
    plain = sorted(account.name for account in server.accounts if _may_come_plain(account))
    if server.rows.get("me") == [["@"]]:
        plain = ["@%"]  # without its grants (skip_grant_tables) it asks nobody for anything
    if not plain:
        return
    now = (server.value("require_secure_transport") or "OFF").lower() not in _OFF
    later = server.options.get("require_secure_transport", "OFF").lower() not in _OFF
    names = ", ".join(plain)
    if not now:
        yield says(
            en=f"{names} may come over the network without encryption (require_secure_transport is OFF)",
            zh=f"{'、'.join(plain)} 可经网络不加密连接（require_secure_transport 为 OFF）",
        )
    elif not later:
        yield says(
            en=f"after a restart {names} may come over the network without encryption (require_secure_transport)",
            zh=f"重启后 {'、'.join(plain)} 可经网络不加密连接（require_secure_transport）",
        )
    if not now and not params.required:
        yield says(
            en="once their clients use TLS, set mariadb_connections_encrypted_required: true and apply again",
            zh="确认其客户端均使用 TLS 后，设置 mariadb_connections_encrypted_required: true 并再次整改",
        )
    connected = sorted({address for address, _ in server.peers()})
    if not now and params.required and connected:
        yield says(
            en=f"{', '.join(connected)} is connected, perhaps in clear, and would not get in again: move its client to TLS, then ALTER USER ... REQUIRE SSL or let it disconnect, and apply again",
            zh=f"{'、'.join(connected)} 正在连接，可能未加密，强制加密后将无法重连：请先将其客户端改为 TLS，再执行 ALTER USER ... REQUIRE SSL 或断开连接，然后再次整改",
        )


def _may_come_plain(account: Account) -> bool:
    return not (account.locked or account.tls or account.host in _LOCAL)
