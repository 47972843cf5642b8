"""The PostgreSQL servers that run on a host: their settings in force, and what they write of statements made for the purpose."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import says


@dataclass(frozen=True)
class Setting:
    """A setting as a session of the superuser meets it, and what the server gives to sessions without an own value."""

    value: str
    server_value: str
    pending_restart: bool
    # What it is once the server reads its files again.
    later: str = ""


@dataclass(frozen=True)
class Override:
    """A setting that holds for one role, one database or one routine only. `scope` says which."""

    scope: str
    name: str
    value: str


@dataclass(frozen=True)
class Record:
    """A line of the log about a statement of ours: where it was found, the database, its class, what stands before it."""

    source: str
    database: str
    audit_class: str
    prefix: str


@dataclass(frozen=True)
class Server:
    """One running server. `log` is where its standard error goes."""

    pid: int
    version: int
    port: int
    data: str
    log: str
    user: str
    in_recovery: bool
    settings: Mapping[str, Setting]
    overrides: tuple[Override, ...]
    # What became of the canary statements: database to psql's complaint, or "".
    complaints: Mapping[str, str]
    records: tuple[Record, ...]
    # Settings of the audit that others than superusers may set: the setting, and who.
    granted: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """Return how messages call it: its port and data folder."""
        return f"PostgreSQL {self.version // 10000} (port {self.port}, {self.data})"

    def value(self, setting: str) -> str:
        """Return the value that the server gives to every session, or "" where it does not know the setting."""
        found = self.settings.get(setting)
        return found.server_value if found else ""

    def later(self, setting: str) -> str:
        """Return the value that the server will give to every session after a reload or a restart."""
        found = self.settings.get(setting)
        return found.later if found else ""


_MARK = "--8<-- medsec"

# For each postmaster: its settings and overrides as JSON, then statements that audit must write down, each carrying a
# random mark that is made here, so that it is on no command line (sudo's log must not be taken for the server's). They
# run in a transaction that is rolled back, on a temporary table and a role that nobody ever sees.
_SCRIPT = r"""
export LC_ALL=C
umask 077
[ "$(id -u)" = 0 ] || { echo 'not root' >&2; exit 90; }
for tool in runuser readlink grep awk od; do command -v "$tool" > /dev/null || { echo "missing: $tool" >&2; exit 91; }; done
cd /
tab=$(printf '\t')
section() { printf '%s %s\n' '@MARK@' "$1"; }
section servers
for link in /proc/[0-9]*/exe; do
  program=$(readlink "$link" 2> /dev/null) || continue
  case ${program% (deleted)} in */postgres | */postmaster) ;; *) continue ;; esac
  pid=${link#/proc/}; pid=${pid%/exe}
  grep -q medsec-drill- "/proc/$pid/cgroup" && continue
  parent=$(awk '/^PPid:/ { print $2 }' "/proc/$pid/status" 2> /dev/null) || continue
  case $(readlink "/proc/$parent/exe" 2> /dev/null) in */postgres | */postgres' (deleted)' | */postmaster) continue ;; esac
  printf '%s%s%s\n' "$pid" "$tab" "${program% (deleted)}"
done
section end-of-servers
"""

# What every question to one server begins with.
_ABOUT = r"""
export LC_ALL=C
umask 077
cd /
pid=@PID@
section() { printf '%s %s\n' '@MARK@' "$1"; }
data=$(readlink "/proc/$pid/cwd") || { echo "process $pid is gone" >&2; exit 93; }
file=$data/postmaster.pid
[ -r "$file" ] || { echo "$file is not there: does the server run in a container? It cannot be asked from here" >&2; exit 93; }
[ "$(sed -n 1p "$file")" = "$pid" ] || { echo "$file speaks of another process than $pid" >&2; exit 93; }
port=$(sed -n 4p "$file"); socket=$(sed -n 5p "$file"); owner=$(stat -c %U "/proc/$pid")
[ -n "$socket" ] || { echo "the server on port $port has no local socket" >&2; exit 93; }
program=$(dirname "@PROGRAM@")/psql
[ -x "$program" ] || program=$(command -v psql) || { echo 'missing: psql' >&2; exit 91; }
ask() { # DATABASE
  runuser -u "$owner" -- env -i PATH="$PATH" PGCONNECT_TIMEOUT=10 PGOPTIONS='-c statement_timeout=20s -c lock_timeout=5s' \
    "$program" -XAtqw -v ON_ERROR_STOP=1 -h "$socket" -p "$port" -d "$1"
}
section about
printf '%s\t%s\t%s\t%s\n' "$port" "$data" "$(readlink "/proc/$pid/fd/2")" "$owner"
"""

# Of a setting s: what the server's files say, or what it has where they say nothing; and what sessions without an own value have.
FILES_SAY = """coalesce((SELECT f.setting FROM pg_file_settings f WHERE lower(f.name) = s.name AND (f.error IS NULL OR f.error = 'setting could not be applied')
  ORDER BY f.seqno DESC LIMIT 1), s.boot_val)"""
IN_FORCE = f"CASE WHEN s.source IN ('database', 'user', 'database user', 'client', 'session', 'interactive') THEN {FILES_SAY} ELSE s.setting END"

_ASK = r"""section facts
ask postgres << 'SQL' || exit 94
SELECT json_build_object(
  'version', current_setting('server_version_num')::int, 'user', current_user, 'recovery', pg_is_in_recovery(),
  'super', (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
  'settings', (SELECT json_object_agg(s.name, json_build_object('value', s.setting, 'pending', s.pending_restart,
    'server', @IN_FORCE@, 'later', CASE s.source WHEN 'command line' THEN s.setting ELSE @FILES_SAY@ END))
    FROM pg_settings s WHERE s.name ~ '^(pgaudit\.|log_|logging_|syslog_|shared_preload_libraries$|data_directory$)'),
  'overrides', (SELECT coalesce(json_agg(json_build_object('scope', coalesce(nullif(concat_ws(' ', 'role ' || r.rolname, 'database ' || d.datname), ''), 'every role'),
    'name', split_part(c, '=', 1), 'value', substr(c, strpos(c, '=') + 1))), '[]')
    FROM pg_db_role_setting o LEFT JOIN pg_roles r ON r.oid = o.setrole LEFT JOIN pg_database d ON d.oid = o.setdatabase,
    unnest(o.setconfig) AS c WHERE split_part(c, '=', 1) ~* '^(pgaudit\.|log_)'));
SQL
section granted
ask postgres << 'SQL' || exit 94
SELECT $$SELECT json_build_array(parname, coalesce(rolname, 'PUBLIC')) FROM pg_parameter_acl, aclexplode(paracl) LEFT JOIN pg_roles r ON r.oid = grantee
  WHERE parname ~ '^(pgaudit\.|log_)' AND rolsuper IS NOT TRUE$$ FROM pg_class WHERE relname = 'pg_parameter_acl' \gexec
SQL
section started
tr '\0' '\n' < "/proc/$pid/cmdline" | sed 's/^-c//; s/^--//' | grep -E '^(pgaudit[.]|log[-_])'
canary=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
[ "${#canary}" = 32 ] || exit 95
began=$(date +%s)
section statements
recovery=$(printf 'SELECT pg_is_in_recovery()' | ask postgres) || exit 94
echo "SELECT datname FROM pg_database WHERE datallowconn AND datname <> 'template1' ORDER BY 1" | ask postgres |
  while IFS= read -r database; do
    number=$((${number:-0} + 1))
    mark=medsec-$canary-$number-
    if [ "$recovery" = t ]; then
      said=$(printf "SELECT '%s' AS audit_canary;" "$mark" | ask "$database" 2>&1 > /dev/null | tail -n 1)
    else
      said=$( {
        printf "BEGIN;\n"
        printf "CREATE TEMPORARY TABLE medsec_audit_canary (note text) ON COMMIT DROP /* %s */;\n" "$mark"
        printf "INSERT INTO medsec_audit_canary VALUES ('%s');\n" "$mark"
        printf "SELECT count(*) FROM medsec_audit_canary WHERE note = '%s';\n" "$mark"
        printf "CREATE ROLE medsec_audit_canary_%s NOLOGIN /* %s */;\n" "$canary" "$mark"
        printf "ROLLBACK;\n"
      } | ask "$database" 2>&1 > /dev/null | tail -n 1)
    fi
    printf '%s\t%s\n' "$database" "$said"
    printf "SELECT json_build_object('scope', 'routine ' || p.oid::regprocedure, 'name', split_part(c, '=', 1), 'value', substr(c, strpos(c, '=') + 1))
      FROM pg_proc p, unnest(p.proconfig) AS c WHERE split_part(c, '=', 1) ~* '^(pgaudit\.|log_min_messages)';" |
      ask "$database" | sed "s/^/routine\t/"
  done
section log
place=$(printf 'SHOW data_directory' | ask postgres)
destination=$(printf 'SHOW log_destination' | ask postgres)
files=$(printf "SELECT pg_current_logfile('stderr') UNION SELECT pg_current_logfile('csvlog')" | ask postgres
  printf "SELECT CASE WHEN current_setting('server_version_num')::int >= 150000 THEN pg_current_logfile('jsonlog') END" | ask postgres
  readlink "/proc/$pid/fd/2")
look() {
  printf '%s\n' "$files" | sort -u | while IFS= read -r name; do
    case $name in '' | /dev/null | pipe:* | socket:* | /dev/pts/*) continue ;; /*) ;; *) name=$place/$name ;; esac
    [ -f "$name" ] && tail -c 8388608 -- "$name" | grep -aF "$canary" | sed "s|^|$name$(printf '\t')|"
  done
  case $destination$files in *syslog* | *socket:*)
    command -v journalctl > /dev/null && journalctl -q -o short-iso --since "@$began" 2> /dev/null | grep -aF "$canary" | sed "s|^|journal$(printf '\t')|"
    find /var/log -xdev -type f -mmin -5 ! -path '*/journal/*' ! -name wtmp ! -name lastlog 2> /dev/null | while IFS= read -r name; do
      tail -c 8388608 -- "$name" | grep -aF "$canary" | sed "s|^|$name$(printf '\t')|"
    done ;;
  esac
}
for _ in 1 2 3 4 5 6; do
  sleep 0.5
  found=$(look | sort -u | grep -F AUDIT) && break
done
printf '%s\n' "$found" | cut -c1-1500 | sed "s/$canary/<canary>/g"
section end
""".replace("@IN_FORCE@", IN_FORCE).replace("@FILES_SAY@", FILES_SAY)


def servers(host: Host) -> list[Server]:
    """Return every PostgreSQL server that runs on `host`, each having been asked and tried.

    Raises ProbeError when one cannot be asked: no psql, no local socket, no superuser by peer authentication.
    """
    return [parse(pid, parts) for pid, parts in answers(host, _ASK)]


def answers(host: Host, question: str) -> Iterator[tuple[int, dict[str, list[str]]]]:
    """Yield for every PostgreSQL server that runs on `host` its process and the sections of what `question` prints.

    + question: shell that ends with `section end`; `ask DATABASE` runs SQL from its input as the superuser, `section NAME` begins a section,
      and `port`, `owner`, `program` (psql) and `data` speak of the server

    Raises ProbeError when one cannot be asked.
    """
    answer = host.run(_SCRIPT.replace("@MARK@", _MARK))
    parts = sections(answer.stdout)
    if answer.rc != 0 or "end-of-servers" not in parts:
        raise _not_asked(answer.stderr)
    for line in parts["servers"]:
        pid, _, program = line.partition("\t")
        script = (
            (_ABOUT + question)
            .replace("@MARK@", _MARK)
            .replace("@PID@", str(int(pid)))
            .replace("@PROGRAM@", program)
        )
        answer = host.run(script, once=True)
        parts = sections(answer.stdout)
        if answer.rc != 0 or "end" not in parts:
            raise _not_asked(answer.stderr)
        yield int(pid), parts


def _not_asked(complaint: str) -> ProbeError:
    said = complaint.strip() or "no answer"
    return ProbeError(
        says(
            en=f"PostgreSQL cannot be asked; it needs local peer authentication for its superuser: {said}",
            zh=f"无法查询 PostgreSQL（需允许超级用户以本地 peer 方式认证）：{said}",
        )
    )


def sections(output: str) -> dict[str, list[str]]:
    """Return the lines of each section of the script's output, by the section's name."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in output.split("\n"):
        if line.startswith(f"{_MARK} "):
            current = found.setdefault(line.removeprefix(f"{_MARK} ").strip(), [])
        elif line:
            current.append(line)
    return found


def groups(role: str, members: Sequence[Sequence[str]]) -> frozenset[str]:
    """Return the groups that `role` belongs to, however indirectly; `members` are pairs of a member and its group."""
    found: set[str] = set()
    todo = [role]
    while todo:
        name = todo.pop()
        new = {group for member, group in members if member == name} - found
        found |= new
        todo += new
    return frozenset(found)


def parse(pid: int, parts: Mapping[str, list[str]]) -> Server:
    """Return the server that the script's sections tell of. Raises ProbeError when the role asked is no superuser."""
    port, data, log, _ = parts["about"][0].split("\t")
    facts: dict[str, Any] = json.loads("".join(parts["facts"]))
    if not facts["super"]:
        raise _not_asked(f"role {facts['user']} is no superuser")
    complaints, routines = {}, []
    for line in parts["statements"]:
        word, _, rest = line.partition("\t")
        if word == "routine":
            routines.append(json.loads(rest))
        else:
            complaints[word] = rest.strip()
    return Server(
        pid=pid,
        version=facts["version"],
        port=int(port),
        data=data,
        log=log,
        user=facts["user"],
        in_recovery=facts["recovery"],
        settings={
            name: Setting(entry["value"], entry["server"] or "", entry["pending"], entry["later"] or "")
            for name, entry in facts["settings"].items()
        },
        overrides=(
            *(Override(**entry) for entry in [*facts["overrides"], *routines]),
            *_started(parts["started"]),
        ),
        complaints=complaints,
        records=tuple(_records(parts["log"], list(complaints))),
        granted=tuple((name, role) for name, role in map(json.loads, parts["granted"])),
    )


def _started(words: Iterable[str]) -> Iterator[Override]:
    """What stands on the command line overrules every file; a session with a value of its own cannot see it."""
    for word in words:
        name, _, value = word.partition("=")
        yield Override("the server's command line", name.replace("-", "_"), value)


_AUDIT = re.compile(r"AUDIT: (?:SESSION|OBJECT),\d+,\d+,([A-Z_]+),")


def _records(lines: Iterable[str], tried: Sequence[str]) -> Iterable[Record]:
    """Records among the log's lines; the mark ends with the number of the database in which it was made."""
    for line in lines:
        source, _, text = line.partition("\t")
        # In JSON and CSV logs the message is quoted, with doubled or escaped quotes; the audit words are the same.
        audit, mark = _AUDIT.search(text), re.search(r"medsec-<canary>-(\d+)-", text)
        if audit and mark:
            yield Record(source, tried[int(mark.group(1)) - 1], audit.group(1).lower(), text[: audit.start()])


def classes(value: str) -> frozenset[str]:
    """Return the classes that a value of `pgaudit.log` turns on, later words overruling earlier ones, as pgaudit reads it."""
    every = frozenset({"ddl", "function", "misc", "misc_set", "read", "role", "write"})
    chosen: frozenset[str] = frozenset()
    for word in value.lower().replace('"', "").split(","):
        name = word.strip()
        named = {"all": every, "none": frozenset[str]()}.get(
            name.lstrip("-"), frozenset({name.lstrip("-")}) & every
        )
        chosen = chosen - named if name.startswith("-") else chosen | named
    return chosen


def loads_pgaudit(libraries: str) -> bool:
    """Return whether a value of `shared_preload_libraries` loads pgaudit."""
    return "pgaudit" in (word.rsplit("/", 1)[-1].removesuffix(".so") for word in re.split(r"[\s,\"']+", libraries))


def silenced(server: Server, wanted: frozenset[str]) -> list[Override]:
    """Return the settings, of everybody or of one role, database or routine, by which statements of the classes `wanted` are not written."""
    everybody = [
        Override(scope, name, value)
        for name in ("pgaudit.log_level", "pgaudit.log_statement", "log_min_messages")
        for scope, value in (("everybody", server.value(name)), ("everybody after a reload", server.later(name)))
    ]
    return [override for override in (*everybody, *server.overrides) if _silences(override, wanted)]


def _silences(override: Override, wanted: frozenset[str]) -> bool:
    name, value = override.name.lower(), override.value.lower().strip("'\" ")
    if name == "pgaudit.log":
        return not wanted <= classes(value)
    if name == "pgaudit.log_level":
        return value not in ("log", "warning")
    if name == "pgaudit.log_statement":
        return value in ("off", "false", "no", "0")
    return name == "log_min_messages" and value in ("fatal", "panic")
