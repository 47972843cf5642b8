"""The accounts of the PostgreSQL servers on a host: how their passwords are kept, and what they may do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.probes import postgresql
from medsec.text import says

# What PostgreSQL answers to a password that its guard refuses (passwordcheck, credcheck).
_REFUSED = ("22023", "28000", "28P01")


@dataclass(frozen=True)
class Account:
    """A role that may log in. `verifier` tells how its password is kept: scram, md5, other, or "" where it has none."""

    name: str
    superuser: bool
    verifier: str
    until: str
    powers: tuple[str, ...]
    # Whether it owns anything: tables, routines, databases.
    owns: bool


@dataclass(frozen=True)
class WayUp:
    """Something in `database` that lends `accounts` a superuser's powers: a routine, or a user mapping."""

    database: str
    what: str
    accounts: frozenset[str]


@dataclass(frozen=True)
class Accounts:
    """One running server and its accounts."""

    name: str
    owner: str
    settings: Mapping[str, str]
    # What they are once the server reads its files again.
    later: Mapping[str, str]
    pending: tuple[str, ...]
    # Roles and databases with a way of their own to keep new passwords: "role his", and the value.
    overrides: Mapping[str, str]
    accounts: tuple[Account, ...]
    # For each database the schemas in which everybody may create.
    open_schemas: Mapping[str, tuple[str, ...]]
    # Databases in which everybody may make schemas.
    open_databases: tuple[str, ...]
    # Routines that do what superusers may, or what the server's own account may, and who may call each.
    ways_up: tuple[WayUp, ...]
    # What became of each password tried, by its kind: True where it was taken. Empty on a standby, which takes no writes.
    taken: Mapping[str, bool]


# Groups of PostgreSQL's own whose members reach the server's files and programs.
ON_THE_SERVER = frozenset(
    {"pg_execute_server_program", "pg_write_server_files", "pg_read_server_files", "pg_write_all_data"}
)
ATTRIBUTES = ("CREATEROLE", "BYPASSRLS", "REPLICATION")

# Passwords are tried on a role that nobody ever sees: the transaction is rolled back. The last one must be taken, or the
# refusals prove nothing.
_QUESTION = r"""
section facts
ask postgres << 'SQL' || exit 94
SELECT json_build_object('super', (SELECT rolsuper FROM pg_roles WHERE rolname = current_user), 'version', current_setting('server_version_num')::int,
  'settings', (SELECT json_object_agg(name, @IN_FORCE@) FROM pg_settings s WHERE name IN ('password_encryption', 'shared_preload_libraries', 'auth_delay.milliseconds')),
  'later', (SELECT json_object_agg(name, CASE source WHEN 'command line' THEN setting ELSE @FILES_SAY@ END) FROM pg_settings s WHERE name IN ('password_encryption', 'shared_preload_libraries')),
  'pending', ARRAY(SELECT name FROM pg_settings WHERE pending_restart AND name = 'shared_preload_libraries'),
  'overrides', (SELECT json_object_agg(coalesce(nullif(concat_ws(' ', 'role ' || r.rolname, 'database ' || d.datname), ''), 'every role'), substr(c, 21))
    FROM pg_db_role_setting o LEFT JOIN pg_roles r ON r.oid = o.setrole LEFT JOIN pg_database d ON d.oid = o.setdatabase,
    unnest(o.setconfig) AS c WHERE c LIKE 'password_encryption=%'),
  'roles', (SELECT json_agg(json_build_object('name', rolname, 'super', rolsuper, 'login', rolcanlogin, 'CREATEROLE', rolcreaterole, 'BYPASSRLS', rolbypassrls, 'REPLICATION', rolreplication,
    'owns', EXISTS (SELECT FROM pg_shdepend WHERE refobjid = pg_authid.oid AND deptype = 'o'),
    'until', rolvaliduntil, 'verifier', CASE WHEN rolpassword LIKE 'SCRAM-SHA-256$%' THEN 'scram' WHEN rolpassword LIKE 'md5%' THEN 'md5' WHEN rolpassword <> '' THEN 'other' END)) FROM pg_authid),
  'members', (SELECT json_agg(json_build_array(pg_get_userbyid(member), pg_get_userbyid(roleid))) FROM pg_auth_members),
  'open', ARRAY(SELECT datname FROM pg_database WHERE has_database_privilege('public', oid, 'CREATE')));
SQL
section schemas
echo 'SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1' | ask postgres | while IFS= read -r database; do
  ask "$database" << 'SQL' || printf '%s\n' "$database"
SELECT json_build_array(current_database(), ARRAY(SELECT nspname FROM pg_namespace WHERE has_schema_privilege('public', oid, 'CREATE')),
  (SELECT json_agg(json_build_array('routine ' || p.oid::regprocedure, ARRAY(SELECT r.rolname FROM pg_roles r WHERE rolcanlogin AND NOT rolsuper AND has_function_privilege(r.oid, p.oid, 'EXECUTE'))))
    FROM pg_proc p JOIN pg_language l ON l.oid = prolang JOIN pg_roles o ON o.oid = proowner
    WHERE proname ~ '^(pg_read_(binary_)?file|pg_ls_dir|lo_(im|ex)port|pg_file_(write|unlink)|dblink_connect_u)$'
      OR p.oid >= 16384 AND (prosecdef AND o.rolsuper OR NOT lanpltrusted) AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
        AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')),
  (SELECT json_agg(json_build_array('user mapping for server ' || srvname, ARRAY[coalesce(usename, 'PUBLIC')])) FROM pg_user_mappings
    WHERE umoptions && ARRAY(SELECT 'user=' || rolname FROM pg_roles WHERE rolsuper) AND usename NOT IN (SELECT rolname FROM pg_roles WHERE rolsuper)));
SQL
done
section tried
if [ "$(echo 'SELECT pg_is_in_recovery()' | ask postgres)" = f ]; then
  role=medsec_password_$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
  for word in "short a1b2c3" "letters abcdefghijkl" "name $role-1" "strong $(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')-Zq7"; do
    said=$(printf "\\set VERBOSITY verbose\nBEGIN;\nCREATE ROLE %s LOGIN PASSWORD '%s';\nROLLBACK;\n" "$role" "${word#* }" | ask postgres 2>&1 > /dev/null) && said=taken
    printf '%s\t%s\n' "${word%% *}" "$said" | head -n 1
  done
fi
section end
""".replace("@IN_FORCE@", postgresql.IN_FORCE).replace("@FILES_SAY@", postgresql.FILES_SAY)


def servers(host: Host) -> list[Accounts]:
    """Return every PostgreSQL server that runs on `host`. Raises ProbeError when one cannot be asked."""
    return [parse(parts) for _, parts in postgresql.answers(host, _QUESTION)]


def parse(parts: Mapping[str, list[str]]) -> Accounts:
    """Return the server that the sections of the answer tell of. Raises ProbeError when they cannot be relied on."""
    port, data, _, owner = parts["about"][0].split("\t")
    facts: dict[str, Any] = json.loads("".join(parts["facts"]))
    name = f"PostgreSQL {facts['version'] // 10000} (port {port}, {data})"
    if not facts["super"] or not facts["roles"] or not parts["schemas"]:
        raise _unreliable(name, "no superuser, no account or no database")
    try:
        schemas = [json.loads(line) for line in parts["schemas"]]
    except ValueError:
        raise _unreliable(name, "; ".join(parts["schemas"])) from None
    return Accounts(
        name=name,
        owner=owner,
        settings=facts["settings"],
        later=facts["later"],
        pending=tuple(facts["pending"]),
        overrides=facts["overrides"] or {},
        accounts=tuple(_accounts(facts["roles"], facts["members"] or [])),
        open_schemas={database: tuple(found) for database, found, *_ in schemas if found},
        open_databases=tuple(sorted(facts["open"])),
        ways_up=tuple(
            WayUp(database, what, frozenset(accounts))
            for database, _, *ways in schemas
            for found in ways
            for what, accounts in found or ()
        ),
        taken=dict(_taken(name, parts.get("tried", []))),
    )


def _accounts(roles: Sequence[Mapping[str, Any]], members: Sequence[Sequence[str]]) -> Iterator[Account]:
    known = {role["name"]: role for role in roles}
    for role in roles:
        if not role["login"]:
            continue
        above = [known[name] for name in postgresql.groups(role["name"], members)]
        powers = {name for one in (role, *above) for name in ATTRIBUTES if one[name]}
        powers |= {"SUPERUSER" for one in above if one["super"]}
        powers |= {one["name"] for one in above} & ON_THE_SERVER
        yield Account(
            role["name"],
            role["super"],
            role["verifier"] or "",
            role["until"] or "",
            tuple(sorted(powers)),
            role["owns"],
        )


def _taken(name: str, lines: list[str]) -> Iterator[tuple[str, bool]]:
    for line in lines:
        kind, _, said = line.partition("\t")
        state = re.search(r":\s+([0-9A-Z]{5}):", said)
        if said != "taken" and not (state and state.group(1) in _REFUSED):
            raise _unreliable(name, f"{kind}: {said}")
        if kind == "strong" and said != "taken":
            raise _unreliable(name, f"a long random password is refused as well: {said}")
        yield kind, said == "taken"


def _unreliable(name: str, why: str) -> ProbeError:
    return ProbeError(
        says(en=f"the accounts of {name} could not be asked for: {why}", zh=f"无法查询 {name} 的账户：{why}")
    )
