"""Who may become a superuser of the PostgreSQL servers on a host, by which way, and who is root of the host itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.probes import postgresql
from medsec.probes.postgresql_accounts import ATTRIBUTES, ON_THE_SERVER
from medsec.text import says


@dataclass(frozen=True)
class Role:
    """An account of the server: whether it may log in, is a superuser, and what else it has or can take on."""

    name: str
    login: bool
    superuser: bool
    powers: tuple[str, ...]


@dataclass(frozen=True)
class Function:
    """A function of set_user in a database, and the accounts other than superusers that may call it; PUBLIC for everybody."""

    database: str
    name: str
    callers: frozenset[str]


@dataclass(frozen=True)
class Grant:
    """A setting that `holder` may set though it is no superuser: SET or ALTER SYSTEM."""

    setting: str
    holder: str
    right: str


@dataclass(frozen=True)
class Server:
    """One running server; `user` is its own superuser, whom the local socket knows by the operating system's account."""

    name: str
    user: str
    settings: Mapping[str, str]
    # What they are once the server reads its files again.
    later: Mapping[str, str]
    pending: tuple[str, ...]
    roles: Mapping[str, Role]
    members: tuple[tuple[str, str], ...]
    # Databases that have the extension.
    extended: frozenset[str]
    functions: tuple[Function, ...]
    grants: tuple[Grant, ...]

    def belonging(self, group: str) -> frozenset[str]:
        """Return the accounts that may log in, are no superusers and are, or belong to, `group`."""
        return frozenset(
            one.name
            for one in self.roles.values()
            if one.login
            and not one.superuser
            and (one.name == group or group in postgresql.groups(one.name, self.members))
        )


@dataclass(frozen=True)
class Login:
    """An account of the operating system: its groups, and as whom sudo lets it run what."""

    name: str
    uid: int
    groups: frozenset[str]
    sudo: tuple[str, ...]


_QUESTION = r"""
section facts
ask postgres << 'SQL' || exit 94
SELECT json_build_object('super', (SELECT rolsuper FROM pg_roles WHERE rolname = current_user), 'user', current_user, 'version', current_setting('server_version_num')::int,
  'settings', (SELECT json_object_agg(name, json_build_array(@IN_FORCE@, CASE source WHEN 'command line' THEN setting ELSE @FILES_SAY@ END)) FROM pg_settings s WHERE name ~ '^set_user\.' OR name = 'shared_preload_libraries'),
  'pending', ARRAY(SELECT name FROM pg_settings WHERE pending_restart AND name = 'shared_preload_libraries'),
  'roles', (SELECT json_agg(json_build_object('name', rolname, 'super', rolsuper, 'login', rolcanlogin, 'CREATEROLE', rolcreaterole, 'BYPASSRLS', rolbypassrls, 'REPLICATION', rolreplication)) FROM pg_roles),
  'members', (SELECT json_agg(json_build_array(pg_get_userbyid(member), pg_get_userbyid(roleid))) FROM pg_auth_members));
SELECT $$SELECT json_build_array(parname, coalesce(rolname, 'PUBLIC'), privilege_type) FROM pg_parameter_acl, aclexplode(paracl) LEFT JOIN pg_roles r ON r.oid = grantee
  WHERE rolsuper IS NOT TRUE$$ FROM pg_class WHERE relname = 'pg_parameter_acl' \gexec
SQL
section functions
echo 'SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1' | ask postgres | while IFS= read -r database; do
  ask "$database" << 'SQL' || printf '%s\n' "$database"
SELECT json_build_array(current_database(), EXISTS (SELECT FROM pg_extension WHERE extname = 'set_user'),
  (SELECT json_agg(json_build_array(p.oid::regprocedure, ARRAY(SELECT 'PUBLIC' WHERE has_function_privilege('public', p.oid, 'EXECUTE')
    UNION ALL SELECT rolname FROM pg_roles r WHERE rolcanlogin AND NOT rolsuper AND has_function_privilege(r.oid, p.oid, 'EXECUTE'))))
    FROM pg_proc p WHERE probin ~ '(^|/)set_user([.]so)?$' AND proname <> 'reset_user'));
SQL
done
section end
""".replace("@IN_FORCE@", postgresql.IN_FORCE).replace("@FILES_SAY@", postgresql.FILES_SAY)

# Accounts without a shell are asked for too where they are named.
_LOGINS = r"""
export LC_ALL=C
[ "$(id -u)" = 0 ] || { echo 'not root' >&2; exit 3; }
for x in getent sudo id sed cut sort; do command -v $x > /dev/null || { echo "no $x" >&2; exit 3; }; done
{ getent passwd | grep -Ev '^[^:]*:[^:]*:([1-9][0-9]*):.*/(nologin|false|sync)$'; for x in @NAMES@; do getent passwd -- "$x"; done; } | cut -d: -f1,3 | sort -u | while IFS=: read -r name uid; do
  may=$(sudo -n -l -U "$name" < /dev/null) || case $may in *'not allowed'*) ;; *) echo "sudo does not tell of $name" >&2; exit 3 ;; esac
  printf '%s\t%s\t%s\t%s\n' "$name" "$uid" "$(id -Gn -- "$name")" "$(printf '%s\n' "$may" | sed -n 's/^ *\((.*\)/\1/p' | tr '\n' ';')"
done || exit 3
echo end
"""


def servers(host: Host) -> list[Server]:
    """Return every PostgreSQL server that runs on `host`. Raises ProbeError when one cannot be asked."""
    return [parse(parts) for _, parts in postgresql.answers(host, _QUESTION)]


def parse(parts: Mapping[str, list[str]]) -> Server:
    """Return the server that the sections of the answer tell of. Raises ProbeError when they cannot be relied on."""
    port, data, _, _ = parts["about"][0].split("\t")
    try:
        facts, *granted = [json.loads(line) for line in parts["facts"]]
        databases = [json.loads(line) for line in parts["functions"]]
    except ValueError:
        raise _unreliable("; ".join(parts["functions"])) from None
    if not facts["super"] or not facts["roles"] or not databases:
        raise _unreliable("no superuser, no account or no database")
    members = tuple((member, group) for member, group in facts["members"] or ())
    return Server(
        name=f"PostgreSQL {facts['version'] // 10000} (port {port}, {data})",
        user=facts["user"],
        settings={name: now or "" for name, (now, _) in facts["settings"].items()},
        later={name: later or "" for name, (_, later) in facts["settings"].items()},
        pending=tuple(facts["pending"]),
        roles={one.name: one for one in _roles(facts["roles"], members)},
        members=members,
        extended=frozenset(name for name, extended, _ in databases if extended),
        functions=tuple(
            Function(database, name, frozenset(callers))
            for database, _, found in databases
            for name, callers in found or ()
        ),
        grants=tuple(Grant(setting, holder, right) for setting, holder, right in granted),
    )


def _roles(roles: Sequence[Mapping[str, Any]], members: Sequence[Sequence[str]]) -> Iterator[Role]:
    known = {role["name"]: role for role in roles}
    for role in roles:
        above = [known[name] for name in postgresql.groups(role["name"], members)]
        powers = {name for one in (role, *above) for name in ATTRIBUTES if one[name]}
        powers |= {"SUPERUSER" for one in above if one["super"]}
        powers |= {one["name"] for one in above} & ON_THE_SERVER
        yield Role(role["name"], role["login"], role["super"], tuple(sorted(powers)))


def logins(host: Host, named: Iterable[str]) -> list[Login]:
    """Return the operating system's accounts that have a shell or root's number, and those of `named` that exist.

    + named: account names of letters, digits, `.`, `_` and `-`

    Raises ProbeError where sudo or a tool is missing, or does not answer.
    """
    answer = host.run(_LOGINS.replace("@NAMES@", " ".join(sorted(set(named)))))
    lines = answer.stdout.splitlines()
    if answer.rc != 0 or not lines or lines[-1] != "end":
        raise _unreliable(answer.stderr.strip() or "no answer")
    found = []
    for line in lines[:-1]:
        name, uid, groups, sudo = line.split("\t")
        found.append(
            Login(
                name,
                int(uid),
                frozenset(groups.split()),
                tuple(one.strip() for one in sudo.split(";") if one.strip()),
            )
        )
    return found


def _unreliable(why: str) -> ProbeError:
    return ProbeError(
        says(en=f"who the administrators are could not be asked for: {why}", zh=f"无法查询各类管理员账户：{why}")
    )
