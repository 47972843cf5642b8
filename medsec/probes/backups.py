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
    # What the service runs, as systemd tells it, and whether its last start was passed over for an unmet condition.
    service_runs: str
    service_skipped: bool
    # When the timer's calendar fires next, several times on.
    runs: tuple[float, ...]
    now: float


@dataclass(frozen=True)
class Artefact:
    """One file that a job left. `unreadable` says why it cannot be restored from, as far as a look tells."""

    path: str
    bytes: int
    written: float
    unreadable: str | None
    # Whether any account of the host may read it.
    exposed: bool = False


# Times are asked for in words and turned into seconds by `date`, since older systemd cannot show seconds.
_TIMER = r"""
export LC_ALL=C TZ=UTC
echo "now=$(date +%s)"
systemctl show -p LoadState -p ActiveState -p UnitFileState -- TIMER
next=$(systemctl show -p NextElapseUSecRealtime --value -- TIMER)
[ -z "$next" ] || echo "next=$(date -d "$next" +%s)"
unit=$(systemctl show -p Unit --value -- TIMER)
echo "service=$unit"
[ -z "$unit" ] || systemctl show -p LoadState -p Result -p ConditionResult -p ConditionTimestamp -p ExecStart -- "$unit" | sed 's/^/service_/'
systemctl show -p TimersCalendar -- TIMER | sed -n 's/.*OnCalendar=\(.*\) ; next_elapse.*/\1/p' | while IFS= read -r when; do
  systemd-analyze calendar --iterations=9 "$when" | sed -n 's/.*\(elapse\|#[0-9]*\): \([A-Z].* UTC\)$/\2/p'
done | date -f - +runs=%s
"""


def timer(host: Host, name: str) -> Timer:
    """Return the state of the timer `name` and of the service that it starts.

    Raises ProbeError when systemctl does not answer.
    """
    answer = host.run(_TIMER.replace("TIMER", shlex.quote(name)))
    lines = [line.split("=", 1) for line in answer.stdout.splitlines() if "=" in line]
    runs = sorted(float(value) for name, value in lines if name == "runs")
    told = dict(line for line in lines if line[0] != "runs")
    if answer.rc != 0 or "LoadState" not in told or ("next" in told and not runs):
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
        service_runs=told.get("service_ExecStart", ""),
        service_skipped=told.get("service_ConditionResult") == "no"
        and bool(told.get("service_ConditionTimestamp")),
        runs=tuple(runs),
        now=float(told["now"]),
    )


_LOOK = r"""
export LC_ALL=C
command -v setpriv > /dev/null || {{ echo 'no setpriv' >&2; exit 3; }}
machine=$(printf %s "$(cat /etc/machine-id)" | sha256sum | cut -d' ' -f1)
for f in {pattern}; do
  [ -f "$f" ] || continue
  size=$(stat -c %s -- "$f") why= open=
  if [ "$size" -gt 0 ] && [ "$(stat -c %Y -- "$f")" -ge "$(($(date +%s) - {seconds}))" ]; then
    ! setpriv --reuid=65534 --regid=65534 --clear-groups test -r "$f" || open=yes
    case $f in
      *.dump) command -v pg_restore > /dev/null || {{ echo "no pg_restore" >&2; exit 3; }}
        pg_restore -l -- "$f" > /dev/null 2>&1 || why="pg_restore cannot read it" ;;
      *.sql.gz) if [ "$size" -le {limit} ]; then
          gzip -dc -- "$f" 2> /dev/null | tail -n 1 | grep -q 'Dump completed' || why="the dump has no end"; fi ;;
      *.gz) if [ "$size" -le {limit} ]; then gzip -t -- "$f" 2> /dev/null || why="gzip cannot read it"; fi ;;
      *.manifest) head -n 1 -- "$f" | grep -q "$machine" || why="another machine made it"
        tail -n 1 -- "$f" | grep -q '"sha256"' || why="it was cut short" ;;
      *.sql) tail -n 3 -- "$f" | grep -qiE 'dump( of .*)?( is)? complete' || why="the dump has no end" ;;
    esac
  fi
  printf '%s\t%s\t%s\t%s\t%s\n' "$size" "$(stat -c %Y -- "$f")" "$why" "$open" "$f"
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
    size, written, why, exposed, path = line.split("\t", 4)
    return Artefact(path, int(size), float(written), why or None, bool(exposed))


# Lines "at<TAB>FOLDER" for the data folder of each server that the backup asks, "runs<TAB>FOLDER" for each that runs.
_RUNNING_CLUSTERS = r"""
export LC_ALL=C
cd /
ask() { runuser -u postgres -- psql -p "$port" -XAtqd postgres -c "$1"; }
if command -v pg_lsclusters > /dev/null; then
  pg_lsclusters -h | awk '$4 ~ /^online/ {print $1, $2, $3}'
else
  echo "server main $(runuser -u postgres -- psql -XAtqd postgres -c 'SHOW port')"
fi | while read -r version name port; do
  ask "SELECT '$version-$name/' || datname FROM pg_database WHERE datallowconn AND datname <> 'template1'" || exit 4
  printf 'at\t%s\n' "$(readlink -f "$(ask 'SHOW data_directory')")"
done || exit 4
"""
_SCHEMAS = r"""
export LC_ALL=C
client=$(command -v mariadb || command -v mysql) || exit 4
$client -NBe 'SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT IN ("information_schema", "performance_schema", "sys")' || exit 4
printf 'at\t%s\n' "$(readlink -f "$($client -NBe 'SELECT @@datadir')")"
"""
_RUNS = r"""
for link in /proc/[0-9]*/exe; do
  program=$(readlink "$link") || continue
  case ${program% (deleted)} in PROGRAMS) grep -q medsec-drill- "${link%exe}cgroup" || printf 'runs\t%s\n' "$(readlink "${link%exe}cwd")" ;; esac
done 2> /dev/null | sort -u
"""
_PROGRAMS = {"postgresql": "*/postgres | */postmaster", "mariadb": "*/mariadbd | */mysqld"}


@dataclass(frozen=True)
class Held:
    """What is to be in a backup: databases, and the data folders of servers that the backup does not ask."""

    databases: list[str]
    strangers: list[str]


def databases(host: Host, product: str) -> Held:
    """Return the databases that the servers of `product` hold now: `<version>-<cluster>/<name>` for PostgreSQL.

    Raises ProbeError when a server does not answer or names none.
    """
    script = _RUNNING_CLUSTERS if product == "postgresql" else _SCHEMAS
    answer = host.run(script + _RUNS.replace("PROGRAMS", _PROGRAMS[product]))
    lines = [line for line in answer.stdout.splitlines() if line]
    told: dict[str, set[str]] = {"at": set(), "runs": set()}
    found = []
    for line in lines:
        word, tab, folder = line.partition("\t")
        if tab and word in told:
            told[word].add(folder)
        else:
            found.append(line)
    if answer.rc != 0 or not found or not told["runs"]:
        said = answer.stderr.strip()
        raise ProbeError(
            says(
                en=f"{product} does not tell its databases; does the server run? {said}",
                zh=f"无法从 {product} 查询数据库列表，请确认服务是否运行：{said}",
            )
        )
    return Held(found, sorted(told["runs"] - told["at"]))
