"""Tries weak passwords on every running server, and looks at how the accounts' own ones are kept."""

from __future__ import annotations

from collections.abc import Iterator

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes.postgresql_accounts import Accounts, servers
from medsec.text import Text, says

_KINDS = {
    "short": says(en="of six characters", zh="仅 6 个字符"),
    "letters": says(en="of letters only", zh="仅由字母组成"),
    "name": says(en="with the account's name in it", zh="包含用户名"),
}


def check(host: Host, params: Params) -> None:
    found = servers(host)
    assert found, says(
        en="the ledger says that PostgreSQL runs here, and no PostgreSQL server is running",
        zh="台账登记本机运行 PostgreSQL，但没有正在运行的 PostgreSQL 服务",
    )
    problems = [
        says(en=f"{server.name}: {problem.en}", zh=f"{server.name}：{problem.zh}")
        for server in found
        for problem in (*_kept(server), *_weak(server), *_guessed(server, params.delay_ms))
    ]
    assert not problems, says(en="; ".join(p.en for p in problems), zh="；".join(p.zh for p in problems))


def _kept(server: Accounts) -> Iterator[Text]:
    """New passwords, then those that are there: an md5 verifier is as good as the password to whoever reads it."""
    way = server.settings["password_encryption"]
    if way != "scram-sha-256":
        yield says(en=f"new passwords are kept as {way}", zh=f"新设口令以 {way} 方式存放")
    later = server.later["password_encryption"].lower()
    if way == "scram-sha-256" != later:
        yield says(
            en=f"after a reload new passwords are kept as {later}", zh=f"重新加载后，新设口令将以 {later} 方式存放"
        )
    for scope, value in sorted(server.overrides.items()):
        if value != "scram-sha-256":
            yield says(
                en=f"new passwords of {scope} are kept as {value}", zh=f"{scope} 的新设口令以 {value} 方式存放"
            )
    old = sorted(account.name for account in server.accounts if account.verifier in ("md5", "other"))
    if old:
        yield says(
            en=f"not kept as scram-sha-256, and to be set anew by whoever uses them, are the passwords of {', '.join(old)}",
            zh=f"以下账户的口令未以 scram-sha-256 存放，须由使用者重新设置：{'、'.join(old)}",
        )


def _weak(server: Accounts) -> Iterator[Text]:
    taken = [kind for kind in _KINDS if server.taken.get(kind)]
    if taken:
        yield says(
            en=f"weak passwords were taken when they were tried: {', '.join(_KINDS[kind].en for kind in taken)}",
            zh=f"实测：弱口令可以设置（{'、'.join(_KINDS[kind].zh for kind in taken)}）",
        )
    if not server.taken and "passwordcheck" not in server.settings["shared_preload_libraries"]:
        yield says(
            en="no passwordcheck is loaded on this standby, which will take weak passwords once it is promoted",
            zh="备库未加载 passwordcheck，提升为主库后将接受弱口令",
        )
    gone = [name for name in ("passwordcheck", "auth_delay", "credcheck") if _lost(server, name)]
    if gone:
        yield says(
            en=f"after a restart {', '.join(gone)} is not loaded: the files leave it out",
            zh=f"重启后不会加载 {'、'.join(gone)}：配置文件中已没有该库",
        )
    if server.pending:
        yield says(
            en=f"{', '.join(server.pending)} changed and waits for a restart",
            zh=f"{'、'.join(server.pending)} 已修改，尚待重启生效",
        )


def _lost(server: Accounts, library: str) -> bool:
    name = "shared_preload_libraries"
    return library in server.settings[name] and library not in server.later[name]


def _guessed(server: Accounts, least: int) -> Iterator[Text]:
    delay = server.settings.get("auth_delay.milliseconds")
    if delay is None or int(delay) < least:
        yield says(
            en=f"passwords can be guessed without delay: auth_delay.milliseconds is {delay or 'unknown, the library is not loaded'}; needed: {least}",
            zh=f"口令可被快速猜测：auth_delay.milliseconds 为 {delay or '未知（未加载 auth_delay）'}，应不小于 {least}",
        )
