"""What databases write of statements, on its way to a collector and there: asked of the kernel, of rsyslog and of the files."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import Text, says

# $p is rsyslogd's process. A change of its settings within the second of its start passes for read.
_RSYSLOG = r"""
export LC_ALL=C
for t in awk find grep pgrep ps readlink sed ss stat systemctl tail; do command -v $t > /dev/null || { echo "$t is missing" >&2; exit 3; }; done
[ "$(id -u)" = 0 ] || { echo 'not root' >&2; exit 3; }
echo "now=$(date +%s)"
if ! command -v rsyslogd > /dev/null; then echo installed=no; echo end=; exit; fi
systemctl show -p ActiveState -p UnitFileState rsyslog.service
m=$(rsyslogd -N1 2>&1) || echo "invalid=$(echo "$m" | grep -v 'validation run' | tail -n 1)"
p=$(systemctl show -p MainPID --value rsyslog.service)
[ "$p" != 0 ] || { echo end=; exit; }
s=$(($(date +%s) - $(ps -o etimes= -p "$p") + 1))
find /etc/rsyslog.conf /etc/rsyslog.d -newerct "@$s" -printf 'unread=%p\n'
"""

# What waits is told by the queues' own files, `iQueueSize:2:1:7:` for seven. Of a log it is asked how far rsyslogd has
# read it; other checks are writing into it at this moment, so a moment is given.
_FORWARDING = r"""
ask() {
  ss -Htnp state established "dst DESTINATION" | grep -F "pid=$p," | sed 's/^ *[0-9]* *\([0-9]*\) .*/unsent=\1/'
  find SPOOL -maxdepth 1 -name '*.qi' -exec sed -n 's/^+iQueueSize:[0-9]*:[0-9]*:\([0-9]*\):.*/waiting=\1/p' {} +
  { find /dev/null $(pgrep -x 'postgres|postmaster' | sed 's,.*,/proc/&/fd,') -maxdepth 1 \( -lname '/*.log' -o -lname '/*.csv' -o -lname '/*.json' -o -lname '/*.log (deleted)' \) ! -lname '*medsec-drill*' -printf 'postgresql %l\n' 2> /dev/null
    find /dev/null $(pgrep -x 'mariadbd|mysqld' | sed 's,.*,/proc/&/fd,') -maxdepth 1 -lname '/*audit*' ! -lname '*medsec-drill*' -printf 'mariadb %l\n' 2> /dev/null
  } | sort -u | while read -r product f; do
    size=$(stat -c %s -- "$f" 2> /dev/null || echo gone)
    at=none
    for l in $(find "/proc/$p/fd" -lname "$f"); do
      at=$(sed -n 's/^pos:[^0-9]*//p' "/proc/$p/fdinfo/${l##*/}")
      [ "$at" != "$size" ] || break
    done
    echo "log=$product $at $size $f"
  done
}
for _ in 1 2 3 4; do
  a=$(ask)
  echo "$a" | grep -q '^unsent=0$' && ! echo "$a" | grep -q '^waiting=[1-9]' &&
    ! echo "$a" | grep '^log=' | awk '$2 != $3' | grep -q . && break
  sleep 1
done
echo "$a"
echo end=
"""

# The newest of a file's last lines: what waited on a disk comes after what did not.
_COLLECTING = r"""
ss -Hltnp "sport = :PORT" | grep -F "pid=$p," | sed 's/.*/listens=yes/'
echo "filesystem=$(stat -f -c %T DIRECTORY 2> /dev/null)"
find DIRECTORY ! -type l \( ! -user root -o -perm /027 -o -type f -perm /0137 \) -printf 'loose=%p (%u, %m)\n' 2> /dev/null
for n in NAMES; do
  f=DIRECTORY/$n.log
  [ -f "$f" ] || continue
  t=$(cat "$f.1" "$f" 2> /dev/null | tail -n 300 | sed -n 's/^\([-0-9T:.+]*\) .*/\1/p' | sort | tail -n 1)
  echo "file=$n $(stat -c '%Y %G' "$f") $([ -z "$t" ] || date -d "$t" +%s)"
done
echo end=
"""


@dataclass(frozen=True)
class Rsyslog:
    """rsyslog as systemd and its own validation tell of it."""

    installed: bool
    active: bool
    enabled: bool
    # Why it refuses its settings, and those that changed after it started.
    invalid: str | None
    unread: tuple[str, ...]
    now: float


@dataclass(frozen=True)
class Log:
    """A file that a database holds open for what it tells of statements, and how far rsyslogd has read it: None for not at all."""

    product: str
    path: str
    # None where the file is gone.
    size: int | None
    read: int | None


@dataclass(frozen=True)
class Forwarding:
    """A server's side: connections to the collector with the bytes not yet acknowledged, and records that wait on the disk."""

    rsyslog: Rsyslog
    unsent: tuple[int, ...]
    waiting: int
    logs: tuple[Log, ...]


@dataclass(frozen=True)
class Collected:
    """One collected file: its group, when it was written, and the time of its newest record, in seconds since 1970."""

    group: str
    written: float
    newest: float | None


@dataclass(frozen=True)
class Collecting:
    """A collector's side; `files` by `<host>/<system>`."""

    rsyslog: Rsyslog
    listens: bool
    filesystem: str
    loose: tuple[str, ...]
    files: Mapping[str, Collected]


def forwarding(host: Host, address: str, port: int, spool: str) -> Forwarding:
    """Return what a database server forwards to `address`. Raises ProbeError where the host does not tell."""
    destination = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    script = _FORWARDING.replace("DESTINATION", destination).replace("SPOOL", shlex.quote(spool))
    told = _told(host, _RSYSLOG + script)
    return Forwarding(
        rsyslog=_rsyslog(told),
        unsent=tuple(int(one) for one in told.get("unsent", ())),
        waiting=sum(int(one) for one in told.get("waiting", ())),
        logs=tuple(_log(one) for one in told.get("log", ())),
    )


def collecting(host: Host, port: int, directory: str, names: Iterable[str]) -> Collecting:
    """Return what a collector holds below `directory`. Raises ProbeError where the host does not tell."""
    script = _COLLECTING.replace("PORT", str(port)).replace("DIRECTORY", shlex.quote(directory))
    told = _told(host, _RSYSLOG + script.replace("NAMES", shlex.join(names)))
    return Collecting(
        rsyslog=_rsyslog(told),
        listens="listens" in told,
        filesystem=next(iter(told.get("filesystem", ())), ""),
        loose=tuple(told.get("loose", ())),
        files=dict(_collected(one) for one in told.get("file", ())),
    )


def problems_of(state: Rsyslog) -> Iterator[Text]:
    """Yield why rsyslog does not do what its settings say, or will not after a boot."""
    if not state.installed:
        yield says(en="rsyslog is not installed: no record comes or goes", zh="未安装 rsyslog，日志无法收发")
        return
    if not state.active:
        yield says(en="rsyslog does not run: no record comes or goes", zh="rsyslog 未运行，日志无法收发")
    if not state.enabled:
        yield says(en="rsyslog is not started at boot", zh="rsyslog 未设为开机启动")
    if state.invalid is not None:
        yield says(
            en=f"rsyslog refuses its settings: {state.invalid:.200}", zh=f"rsyslog 配置有误：{state.invalid:.200}"
        )
    if state.unread:
        paths = ", ".join(state.unread)
        yield says(
            en=f"rsyslog has not read its settings since they changed: {paths}",
            zh=f"rsyslog 尚未重新加载已修改的配置：{paths}",
        )


def _told(host: Host, script: str) -> dict[str, list[str]]:
    answer = host.run(script)
    told: dict[str, list[str]] = {}
    for name, _, value in (line.partition("=") for line in answer.stdout.splitlines()):
        told.setdefault(name, []).append(value)
    if answer.rc != 0 or "end" not in told:
        said = answer.stderr.strip()[-300:] or f"exit code {answer.rc}"
        raise ProbeError(
            says(
                en=f"the way of the statements' records cannot be asked for: {said}",
                zh=f"无法查询审计日志的转发情况：{said}",
            )
        )
    return told


def _rsyslog(told: Mapping[str, Sequence[str]]) -> Rsyslog:
    return Rsyslog(
        installed="installed" not in told,
        active=told.get("ActiveState") == ["active"],
        enabled=told.get("UnitFileState") in (["enabled"], ["static"], ["alias"]),
        invalid=next(iter(told.get("invalid", ())), None),
        unread=tuple(told.get("unread", ())),
        now=float(told["now"][0]),
    )


def _log(line: str) -> Log:
    product, read, size, path = line.split(" ", 3)
    return Log(product, path, int(size) if size.isdigit() else None, int(read) if read.isdigit() else None)


def _collected(line: str) -> tuple[str, Collected]:
    name, written, group, *newest = line.split()
    return name, Collected(group, float(written), float(newest[0]) if newest else None)
