"""Follows every account to what it may become, and finds the schemas in which everybody may create."""

from __future__ import annotations

from collections.abc import Iterator

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes.postgresql_accounts import Accounts, servers
from medsec.text import Text, says


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


def _problems(server: Accounts, params: Params) -> Iterator[Text]:
    mighty = sorted(one.name for one in server.accounts if one.superuser and one.name != server.owner)
    if len(mighty) > params.superusers:
        yield says(
            en=f"superusers that may log in besides {server.owner}, of whom {params.superusers} may be: {', '.join(mighty)}",
            zh=f"除 {server.owner} 外可登录的超级用户超过 {params.superusers} 个：{'、'.join(mighty)}",
        )
    for account in server.accounts:
        # An administrator administers; what owns data is an application's.
        if account.superuser and account.name != server.owner and account.owns:
            yield says(
                en=f"the superuser {account.name} owns databases, tables or routines: give the application an account of its own",
                zh=f"超级用户 {account.name} 拥有库、表或函数：业务系统应使用单独的普通账户",
            )
        if account.powers and not account.superuser and account.name not in params.administrators:
            yield says(
                en=f"{account.name} has or can take on {', '.join(account.powers)}",
                zh=f"账户 {account.name} 具备或可取得 {'、'.join(account.powers)} 权限",
            )
    for way in server.ways_up:
        who = sorted(way.accounts - set(params.administrators))
        if who:
            more = " ..." if len(who) > 3 else ""
            yield says(
                en=f"in database {way.database} the {way.what} lends a superuser's powers to {', '.join(who[:3])}{more}",
                zh=f"数据库 {way.database} 中的 {way.what} 使 {'、'.join(who[:3])}{more} 具备超级用户权限",
            )
    for database in server.open_databases:
        yield says(
            en=f"everybody may create schemas in database {database}", zh=f"数据库 {database} 允许任何账户建立模式"
        )
    for database, schemas in sorted(server.open_schemas.items()):
        yield says(
            en=f"everybody may create in database {database}, schema {', '.join(schemas)}",
            zh=f"数据库 {database} 的模式 {'、'.join(schemas)} 允许任何账户建立对象",
        )
