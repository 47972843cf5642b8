"""Asks every running server for its rules, now and after a restart; then tries bad passwords on an account made for the purpose."""

from __future__ import annotations

from collections.abc import Iterator

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes import mariadb
from medsec.probes.mariadb import Server
from medsec.text import Text, says

_TRIED = {
    "short": ("one that is too short", "长度不足的口令"),
    "digits": ("one without digits", "不含数字的口令"),
    "capitals": ("one without capitals", "不含大写字母的口令"),
    "small": ("one without small letters", "不含小写字母的口令"),
    "signs": ("one without signs", "不含特殊字符的口令"),
    "hash": ("a hash in place of a password", "以散列值代替的口令"),
}


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
        taken = mariadb.accepted(host, server, params.min_length)
        assert not taken, says(
            en=f"{server.name}: bad passwords are accepted: {', '.join(_TRIED[name][0] for name in taken)}",
            zh=f"{server.name}：弱口令可以设置成功：{'、'.join(_TRIED[name][1] for name in taken)}",
        )


def complaints_of(server: Server, params: Params) -> Iterator[Text]:
    """Say every rule that `server` lacks now or after a restart, and every account that escapes it."""
    if server.load_option("simple_password_check") is None:
        yield says(en="simple_password_check is not loaded", zh="未加载口令复杂度插件 simple_password_check")
        return
    if not server.loads("simple_password_check"):
        yield says(
            en="after a restart simple_password_check is not loaded", zh="重启后不会加载 simple_password_check"
        )
    # The least and the most that each may be, and what a server has that is told nothing.
    rules = {
        "simple_password_check_minimal_length": (params.min_length, None, "8"),
        "simple_password_check_digits": (1, None, "1"),
        "simple_password_check_letters_same_case": (1, None, "1"),
        "simple_password_check_other_characters": (1, None, "1"),
        "strict_password_validation": (1, 1, "ON"),
        "max_password_errors": (1, params.max_errors, "4294967295"),
        "default_password_lifetime": (1, params.life_days, "0"),
    }
    for name, (least, most, default) in rules.items():
        now, then = server.value(name) or "", server.options.get(name, default)
        if not _holds(now, least, most):
            yield says(en=f"{name} is {now}", zh=f"{name} 为 {now}")
        elif not _holds(then, least, most):
            yield says(en=f"after a restart {name} is {then}", zh=f"重启后 {name} 为 {then}")
    yield from _accounts(server, params.life_days)


def _holds(value: str, least: int, most: int | None) -> bool:
    number = {"on": "1", "true": "1", "yes": "1", "off": "0", "false": "0", "no": "0"}.get(value.lower(), value)
    return number.isdigit() and int(number) >= least and (most is None or int(number) <= most)


def _accounts(server: Server, life_days: int) -> Iterator[Text]:
    """An account's own policy overrules the server's."""
    for account in server.accounts:
        own = account.lifetime
        if own is None or account.locked or not account.by_password or 1 <= own <= life_days:
            continue
        en, zh = (f"after {own} days", f"{own} 天才过期") if own else ("never", "永不过期")
        yield says(
            en=f"the password of {account.name} expires {en}: agree with its user on a day to change it, "
            f"then ALTER USER ... PASSWORD EXPIRE INTERVAL {life_days} DAY",
            zh=f"账户 {account.name} 的口令{zh}：请与使用方约定更换日期，"
            f"更换后执行 ALTER USER … PASSWORD EXPIRE INTERVAL {life_days} DAY",
        )
