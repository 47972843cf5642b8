"""Scheduled jobs and the files they leave: when a timer fires, how its last run ended, what lies on the disk."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import says

# A dump up to this size is read to its end; larger ones were read when they were made, and a verify must stay cheap.
READ_WHOLE_MIB = 256


@dataclass(frozen=True)
class Timer:
    """A systemd timer and the service it starts; times in seconds since 1970, 0 for never."""

    name: str
    load: str
    active: str
    enabled: str
    next_run: float
    service: str
    service_load: str
    service_result: str
    now: float


@dataclass(frozen=True)
class Artefact:
    """One file that a job left. `unreadable` says why it cannot be restored from, as far as a look tells."""

    path: str
    bytes: int
    written: float
    unreadable: str | None


# Times are asked for in words and turned into seconds by `date`, since older systemd cannot show seconds.
_TIMER = r"""
export LC_ALL=C TZ=UTC
echo "now=$(date +%s)"
systemctl show -p LoadState -p ActiveState -p UnitFileState -- TIMER
next=$(systemctl show -p NextElapseUSecRealtime --value -- TIMER)
[ -z "$next" ] || echo "next=$(date -d "$next" +%s)"
unit=$(systemctl show -p Unit --value -- TIMER)
echo "service=$unit"
[ -z "$unit" ] || systemctl show -p LoadState -p Result -- "$unit" | sed 's/^/service_/'
"""


def timer(host: Host, name: str) -> Timer:
    """Return the state of the timer `name` and of the service that it starts.

    Raises ProbeError when systemctl does not answer.
    """
    answer = host.run(_TIMER.replace("TIMER", shlex.quote(name)))
    told = dict(line.split("=", 1) for line in answer.stdout.splitlines() if "=" in line)
    if answer.rc != 0 or "LoadState" not in told:
        raise ProbeError(
            says(
                en=f"systemctl does not tell of {name}: {answer.stderr.strip()}",
                zh=f"systemctl 无法查询 {name}：{answer.stderr.strip()}",
            )
        )
    return Timer(
        name=name,
        load=told["LoadState"],
        active=told.get("ActiveState", ""),
        enabled=told.get("UnitFileState", ""),
        next_run=float(told.get("next") or 0),
        service=told.get("service", ""),
        service_load=told.get("service_LoadState", ""),
        service_result=told.get("service_Result", ""),
        now=float(told["now"]),
    )


_LOOK = r"""
export LC_ALL=C
for f in {pattern}; do
  [ -f "$f" ] || continue
  size=$(stat -c %s -- "$f") why=
  if [ "$size" -gt 0 ] && [ "$(stat -c %Y -- "$f")" -ge "$(($(date +%s) - {seconds}))" ]; then
    case $f in
      *.dump) command -v pg_restore > /dev/null || {{ echo "no pg_restore" >&2; exit 3; }}
        pg_restore -l -- "$f" > /dev/null 2>&1 || why="pg_restore cannot read it" ;;
      *.sql.gz) if [ "$size" -le {limit} ]; then
          gzip -dc -- "$f" 2> /dev/null | tail -n 1 | grep -q 'Dump completed' || why="the dump has no end"; fi ;;
      *.gz) if [ "$size" -le {limit} ]; then gzip -t -- "$f" 2> /dev/null || why="gzip cannot read it"; fi ;;
      *.sql) tail -n 3 -- "$f" | grep -qiE 'dump( of .*)?( is)? complete' || why="the dump has no end" ;;
    esac
  fi
  printf '%s\t%s\t%s\t%s\n' "$size" "$(stat -c %Y -- "$f")" "$why" "$f"
done
"""


def artefacts(host: Host, pattern: str, fresh_seconds: int) -> list[Artefact]:
    """Return the files that `pattern` (an absolute path with wildcards) matches, the oldest first.

    Those written within `fresh_seconds` are looked into. Raises ProbeError when the tool to read one is missing, or
    when the pattern is no path.
    """
    if not re.fullmatch(r"/[\w./*?\[\]@%+:,-]+", pattern):
        raise ProbeError(
            says(en=f"not a path with wildcards: {pattern!r}", zh=f"不是有效的路径（可含通配符）：{pattern!r}")
        )
    script = _LOOK.format(pattern=pattern, limit=READ_WHOLE_MIB * 2**20, seconds=fresh_seconds)
    answer = host.run(script)
    if answer.rc != 0:
        raise ProbeError(
            says(
                en=f"{pattern} cannot be looked into: {answer.stderr.strip()}",
                zh=f"无法检查 {pattern}：{answer.stderr.strip()}",
            )
        )
    return sorted(map(_artefact, answer.stdout.splitlines()), key=lambda found: found.written)


def _artefact(line: str) -> Artefact:
    size, written, why, path = line.split("\t", 3)
    return Artefact(path, int(size), float(written), why or None)


_RUNNING_CLUSTERS = r"""
export LC_ALL=C
if command -v pg_lsclusters > /dev/null; then
  pg_lsclusters -h | awk '$4 ~ /^online/ {print $1, $2, $3}'
else
  echo "server main $(cd / && runuser -u postgres -- psql -XAtqd postgres -c 'SHOW port')"
fi | while read -r version name port; do
  (cd / && runuser -u postgres -- psql -p "$port" -XAtqd postgres \
    -c "SELECT '$version-$name/' || datname FROM pg_database WHERE datallowconn AND NOT datistemplate") || exit 4
done
"""
_SCHEMAS = (
    "$(command -v mariadb || command -v mysql) -NBe 'SELECT schema_name FROM information_schema.schemata"
    ' WHERE schema_name NOT IN ("information_schema", "performance_schema", "sys")\''
)


def databases(host: Host, product: str) -> list[str]:
    """Return the databases that a server of `product` holds now: `<version>-<cluster>/<name>` for PostgreSQL.

    Raises ProbeError when the server does not answer or names none.
    """
    answer = host.run(_RUNNING_CLUSTERS if product == "postgresql" else _SCHEMAS)
    found = [line for line in answer.stdout.splitlines() if line]
    if answer.rc != 0 or not found:
        said = answer.stderr.strip()
        raise ProbeError(
            says(
                en=f"{product} does not tell its databases; does the server run? {said}",
                zh=f"无法从 {product} 查询数据库列表，请确认服务是否运行：{said}",
            )
        )
    return found
