"""Names of what a host keeps data in: databases, schemas and accounts of its running servers, and dump files."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.probes import mariadb, postgresql
from medsec.text import says


@dataclass(frozen=True)
class Name:
    """A name, and how the ledger calls what goes by it: `postgresql schema his.test_old`, `mariadb database test`, a file's path."""

    name: str
    label: str


_QUESTION = r"""section names
echo "SELECT json_build_array(datname, 'database ' || datname) FROM pg_database WHERE datname !~ '^template[01]$'
  UNION ALL SELECT json_build_array(rolname, 'account ' || rolname) FROM pg_roles WHERE rolname !~ '^pg_'" | ask postgres || exit 94
echo "SELECT datname FROM pg_database WHERE datallowconn AND datname !~ '^template[01]$'" | ask postgres | while IFS= read -r database; do
  echo "SELECT json_build_array(nspname, 'schema ' || current_database() || '.' || nspname) FROM pg_namespace WHERE nspname !~ '^pg_'" |
    ask "$database" || exit 94
done || exit 94
section end
"""


def of_postgresql(host: Host) -> list[Name] | None:
    """Return the names on the PostgreSQL servers of `host`; None when none runs. Raises ProbeError when one cannot be asked."""
    answers = [parts for _, parts in postgresql.answers(host, _QUESTION)]
    if not answers:
        return None
    rows = [[json.loads(line) for line in parts["names"]] for parts in answers]
    # Of each server: what one does not tell must not hide behind another's answer.
    if not all(any(label.startswith("schema ") for _, label in told) for told in rows):
        raise _nothing("PostgreSQL")
    return [Name(name, f"postgresql {label}") for told in rows for name, label in told]


def of_mariadb(host: Host) -> list[Name] | None:
    """Return the names on the MariaDB servers of `host`; None when none runs. Raises ProbeError when one cannot be asked."""
    servers = mariadb.servers(host)
    if not servers:
        return None
    databases = {row[0] for server in servers for row in server.rows.get("schema", ())}
    accounts = {row[0] for server in servers for row in server.rows.get("account", ())}
    if not databases or not accounts:
        raise _nothing("MariaDB")
    return [
        *(Name(name, f"mariadb database {name}") for name in sorted(databases)),
        *(Name(name, f"mariadb account {name}") for name in sorted(accounts)),
    ]


def _nothing(product: str) -> ProbeError:
    return ProbeError(
        says(
            en=f"{product} names no database, no schema or no account; its answer cannot be trusted",
            zh=f"{product} 未返回任何数据库、模式或账户，结果不可信",
        )
    )


_FIND = r"""export LC_ALL=C
[ "$(id -u)" = 0 ] || { echo 'not root' >&2; exit 90; }
date +%F
for root in @ROOTS@; do
  [ ! -d "$root" ] || find "$root/" -xdev -maxdepth @DEPTH@ \( @HOMES@ \) -prune -o -type f \( @SUFFIXES@ \) -print
done
echo end
"""


def dumps(
    host: Host, roots: Sequence[str], depth: int, homes: Sequence[str], suffixes: Sequence[str]
) -> tuple[date, list[Name]]:
    """Return the host's day, and the files below `roots` that end like a dump, by their names without that end.

    + depth: how many levels down
    + homes: folders left out, those of the backups

    Raises ProbeError without root's rights, or where a folder cannot be read.
    """
    values = {
        "@ROOTS@": " ".join(map(shlex.quote, roots)),
        "@DEPTH@": str(depth),
        "@HOMES@": " -o ".join(f"-path {shlex.quote(home)}" for home in homes) or "-false",
        "@SUFFIXES@": " -o ".join(f"-iname {shlex.quote(f'*.{suffix}')}" for suffix in suffixes),
    }
    script = _FIND
    for word, value in values.items():
        script = script.replace(word, value)
    answer = host.run(script)
    first, *lines = answer.stdout.splitlines() or [""]
    # A file that goes while it is looked for is none of the host's any more.
    complaints = [line for line in answer.stderr.splitlines() if "No such file or directory" not in line]
    if answer.rc != 0 or lines[-1:] != ["end"] or complaints:
        said = "; ".join(complaints[:3]) or f"exit code {answer.rc}"
        raise ProbeError(
            says(en=f"the search for dumps did not finish: {said}", zh=f"转储文件排查未能完成：{said}")
        )
    return date.fromisoformat(first), list(_files(lines[:-1], suffixes))


def _files(lines: Sequence[str], suffixes: Sequence[str]) -> Iterator[Name]:
    for line in lines:
        path = line.replace("//", "/")
        name = path.rsplit("/", 1)[-1]
        longest = max((len(one) for one in suffixes if name.lower().endswith(f".{one.lower()}")), default=-1)
        yield Name(name[: len(name) - longest - 1], path)
