"""Lays the persons of the ledger beside what their accounts can do: in each server, and as root of the host."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes.postgresql_administrators import Login, Role, Server, logins, servers
from medsec.text import Text, says

_ROLES = {
    "system": says(en="system administrator", zh="系统管理员"),
    "database": says(en="database administrator", zh="数据库管理员"),
    "security": says(en="security administrator", zh="安全管理员"),
    "audit": says(en="auditor", zh="审计管理员"),
}
# Whoever is in one of these is root, or reads the server's files, whatever sudo says.
_MIGHTY = frozenset({"root", "sudo", "wheel", "admin", "disk", "docker", "lxd", "incus", "shadow", "postgres"})
# Lower numbers are services', by the convention of both families.
_FIRST_PERSON = 1000
_BLOCKS = ("block_alter_system", "block_copy_program", "block_log_statement")


@dataclass(frozen=True)
class _People:
    """The ledger's persons: who is what, and by which accounts."""

    entries: tuple[Mapping[str, Any], ...]

    def accounts(self, role: str) -> frozenset[str]:
        return frozenset(one["account"] for one in self.entries if one["role"] == role)

    def logins(self, *roles: str) -> dict[str, str]:
        """Return the persons of these roles by every account that they may have in the operating system."""
        return {
            name: one["person"]
            for one in self.entries
            if one["role"] in roles
            for name in (one["account"], *one.get("logins", ()))
        }


def check(host: Host, params: Params) -> None:
    people = _People(tuple(params.administrators))
    found = servers(host)
    assert found, says(
        en="the ledger says that PostgreSQL runs here, and no PostgreSQL server is running",
        zh="台账登记本机运行 PostgreSQL，但没有正在运行的 PostgreSQL 服务",
    )
    named = [name for name in people.logins(*_ROLES) if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name)]
    problems = [*_registered(people), *_root(people, logins(host, named))]
    for server in found:
        problems += [
            says(en=f"{server.name}: {one.en}", zh=f"{server.name}：{one.zh}")
            for one in _in_server(server, people, params)
        ]
    assert not problems, says(en="; ".join(p.en for p in problems), zh="；".join(p.zh for p in problems))


def _registered(people: _People) -> Iterator[Text]:
    for role, word in _ROLES.items():
        if not people.accounts(role):
            yield says(en=f"the ledger names nobody as {word.en}", zh=f"台账未登记{word.zh}")
    roles_of: dict[str, list[str]] = {}
    persons_of: dict[str, set[str]] = {}
    for one in people.entries:
        person = "".join(one["person"].split())
        roles_of.setdefault(person, [])
        if one["role"] not in roles_of[person]:
            roles_of[person].append(one["role"])
        for account in (one["account"], *one.get("logins", ())):
            persons_of.setdefault(account, set()).add(person)
    for person, roles in sorted(roles_of.items()):
        if len(roles) > 1:
            yield says(
                en=f"{person} is registered as {' and '.join(_ROLES[role].en for role in roles)}",
                zh=f"{person} 同时登记为{'、'.join(_ROLES[role].zh for role in roles)}",
            )
    for account, persons in sorted(persons_of.items()):
        if len(persons) > 1:
            yield says(
                en=f"the account {account} is registered for {' and '.join(sorted(persons))}",
                zh=f"账户 {account} 登记给多人：{'、'.join(sorted(persons))}",
            )


def _root(people: _People, found: list[Login]) -> Iterator[Text]:
    apart, system = people.logins("database", "security", "audit"), people.logins("system")
    for login in found:
        if login.name in apart:
            may = _may(login, login.sudo, _MIGHTY)
            if may:
                yield says(
                    en=f"{login.name} of {apart[login.name]}, no system administrator, has powers in the operating system: {', '.join(may)}",
                    zh=f"{apart[login.name]} 不是系统管理员，其账户 {login.name} 具备操作系统权限：{'、'.join(may)}",
                )
        elif login.name != "root" and login.name not in system:
            may = _may_of_nobody(login)
            if may:
                yield says(
                    en=f"the ledger names no person behind {login.name}, who administers the operating system: {', '.join(may)}",
                    zh=f"账户 {login.name} 具备操作系统管理权限（{'、'.join(may)}），台账未登记对应人员",
                )


def _may(login: Login, rules: Iterable[str], groups: frozenset[str]) -> list[str]:
    return [
        *([f"uid {login.uid}"] if login.uid == 0 else []),
        *(f"sudo {rule}" for rule in rules),
        *(f"group {group}" for group in sorted(login.groups & groups)),
    ]


def _may_of_nobody(login: Login) -> list[str]:
    """A service's own account may have a command of its own in sudo; there is no person behind it unless it may do all."""
    if 0 < login.uid < _FIRST_PERSON:
        return _may(
            login, [rule for rule in login.sudo if re.search(r"\bALL\b", rule.partition(")")[2])], frozenset()
        )
    return _may(login, login.sudo, _MIGHTY - {"postgres", "shadow"})


def _in_server(server: Server, people: _People, params: Params) -> Iterator[Text]:
    yield from _loaded(server)
    if _loads(server.settings):
        yield from _limited(server, people)
    yield from _accounts(server, people)
    yield from _callers(server, people, params.databases)
    yield from _settings_of_others(server, people)


def _loads(settings: Mapping[str, str]) -> bool:
    words = re.split(r"[\s,\"']+", settings.get("shared_preload_libraries", ""))
    return "set_user" in (word.rsplit("/", 1)[-1].removesuffix(".so") for word in words)


def _loaded(server: Server) -> Iterator[Text]:
    if not _loads(server.settings):
        yield says(en="set_user is not loaded", zh="未加载 set_user")
    if not _loads(server.later):
        yield says(en="after a restart set_user is not loaded", zh="重启后不会加载 set_user")
    if server.pending:
        yield says(
            en="shared_preload_libraries changed and waits for a restart",
            zh="shared_preload_libraries 已修改，尚待重启生效",
        )


def _limited(server: Server, people: _People) -> Iterator[Text]:
    for en, zh, settings in (("", "", server.settings), ("after a reload ", "重新加载后 ", server.later)):
        for name in _BLOCKS:
            value = settings.get(f"set_user.{name}", "")
            if value != "on":
                yield says(
                    en=f"{en}set_user.{name} is «{value}»: a superuser by escalation can do unseen what he likes",
                    zh=f"{zh}set_user.{name} 为“{value}”：提权后的操作可绕过记录",
                )
        allowed = _named(server, settings.get("set_user.superuser_allowlist", "*"))
        others = sorted(allowed - people.accounts("database"))
        if others:
            yield says(
                en=f"{en}set_user.superuser_allowlist lets in others than the database administrators: {', '.join(others)}",
                zh=f"{zh}set_user.superuser_allowlist 包含数据库管理员以外的账户：{'、'.join(others)}",
            )
        for name in sorted(people.accounts("database") - allowed):
            if "*" not in allowed:
                yield says(
                    en=f"{en}set_user.superuser_allowlist leaves out {name}, who is left with the shared superuser",
                    zh=f"{zh}set_user.superuser_allowlist 未包含 {name}，其只能共用超级用户",
                )
        targets = _named(server, settings.get("set_user.nosuperuser_target_allowlist", "*"))
        apart = sorted(targets & ({"*"} | people.accounts("security") | people.accounts("audit")))
        if apart:
            yield says(
                en=f"{en}set_user.nosuperuser_target_allowlist lets a database administrator become {', '.join(apart)}",
                zh=f"{zh}set_user.nosuperuser_target_allowlist 允许数据库管理员切换为 {'、'.join(apart)}",
            )


def _named(server: Server, value: str) -> frozenset[str]:
    """Return the accounts that a list of set_user names, those of its groups among them; `*` stays."""
    names: set[str] = set()
    for word in value.split(","):
        entry = word.strip(" \t'\"")
        if entry.startswith("+"):
            names |= server.belonging(entry[1:])
        elif entry:
            names.add(entry)
    return frozenset(names)


def _accounts(server: Server, people: _People) -> Iterator[Text]:
    mighty = sorted(
        one.name for one in server.roles.values() if one.superuser and one.login and one.name != server.user
    )
    if mighty:
        yield says(
            en=f"superusers besides {server.user} may log in: {', '.join(mighty)}",
            zh=f"除 {server.user} 外，以下超级用户可直接登录：{'、'.join(mighty)}",
        )
    for role in ("database", "security", "audit"):
        for account in sorted(people.accounts(role)):
            found = server.roles.get(account)
            # An auditor reads files, and needs no account in the database.
            if found is None or not found.login:
                if role != "audit":
                    yield says(
                        en=f"the {_ROLES[role].en}'s account {account} is not there, or may not log in",
                        zh=f"{_ROLES[role].zh}账户 {account} 不存在或不能登录",
                    )
                continue
            powers = _powers(found)
            if powers:
                yield says(
                    en=f"the {_ROLES[role].en}'s account {account} has without escalation {', '.join(powers)}",
                    zh=f"{_ROLES[role].zh}账户 {account} 未经提权即具备 {'、'.join(powers)} 权限",
                )


def _powers(role: Role) -> list[str]:
    return [*(["SUPERUSER"] if role.superuser else []), *(one for one in role.powers)]


def _callers(server: Server, people: _People, databases: list[str]) -> Iterator[Text]:
    for database in databases:
        if database not in server.extended:
            yield says(
                en=f"the extension set_user is not in database {database}",
                zh=f"数据库 {database} 未创建扩展 set_user",
            )
    administrators = people.accounts("database")
    apart = people.accounts("security") | people.accounts("audit")
    for function in server.functions:
        # By set_session_auth one person goes on as another, and nothing more is logged of it.
        forbidden = apart | (administrators if "set_session_auth(" in function.name else frozenset())
        wrong = function.callers & (forbidden | {"PUBLIC"})
        if "set_user_u(" in function.name:
            wrong |= function.callers - administrators
            lacking = administrators - function.callers
            if function.database in databases and lacking and "PUBLIC" not in function.callers:
                yield says(
                    en=f"in database {function.database} {', '.join(sorted(lacking))} may not call {function.name}",
                    zh=f"数据库 {function.database} 中 {'、'.join(sorted(lacking))} 不能调用 {function.name}",
                )
        if wrong:
            who = ["PUBLIC"] if "PUBLIC" in wrong else sorted(wrong)
            yield says(
                en=f"in database {function.database} {function.name} may be called by {', '.join(who)}",
                zh=f"数据库 {function.database} 中 {function.name} 可由 {'、'.join(who)} 调用",
            )


def _settings_of_others(server: Server, people: _People) -> Iterator[Text]:
    security = people.accounts("security")
    persons = people.accounts("database") | people.accounts("audit") | security
    for grant in server.grants:
        if grant.right != "ALTER SYSTEM" and not re.match(r"pgaudit\.|set_user\.|log_", grant.setting):
            continue
        everybody = grant.holder == "PUBLIC"
        holders = persons if everybody else persons & server.belonging(grant.holder)
        if grant.setting.startswith("pgaudit.") and not everybody:
            holders -= security
        if holders:
            yield says(
                en=f"{', '.join(sorted(holders))} may without escalation {grant.right} {grant.setting}",
                zh=f"{'、'.join(sorted(holders))} 未经提权即可对 {grant.setting} 执行 {grant.right}",
            )
