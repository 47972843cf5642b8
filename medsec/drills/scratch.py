"""Restoring a backup on a host in a unit of systemd that cannot outlive the drill, and reading what it says."""

from __future__ import annotations

import contextlib
import itertools
import json
import shlex
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import paramiko

from medsec.drills.checks import Restored
from medsec.drills.engines import Engine
from medsec.errors import HostUnreachable, MedsecError, ProbeError, UsageError
from medsec.evidence.plain import plain
from medsec.inventory import Host
from medsec.judge.privilege import Line as CommandLine
from medsec.judge.privilege import Privilege, shell_as_root
from medsec.judge.ssh import open_clients
from medsec.judge.transport import Limits
from medsec.text import Text, says

_REFUSED, _BUSY = 64, 75
# Refuses a folder in which a server lives, clears what an earlier drill left, and starts the unit. $1 unit, $2 base,
# $3 set, $4 seconds, $5 the script, $6 what tells the host to clear away when it boots.
_BOOT = r"""
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"; umask 077
base=$(realpath -m -- "$2") || exit 70
live() {
  for exe in /proc/[0-9]*/exe; do
    case $(readlink "$exe") in */postgres | */mariadbd | */mysqld) readlink "${exe%exe}cwd" ;; esac
  done
  command -v pg_lsclusters > /dev/null && pg_lsclusters -h | awk '{print $6}'
  echo /var/lib/mysql; echo /var/lib/postgresql; echo /var/lib/pgsql
}
units=$(systemctl list-units --plain --no-legend --full 'medsec-drill-*' | wc -l) || exit 70
[ "$units" -eq 0 ] || { echo "a drill is going on here" >&2; exit 75; }
case $base in /*/*) ;; *) echo "$base" >&2; exit 64 ;; esac
live | sort -u | while IFS= read -r folder; do
  case "$base/" in "$folder"/*) echo "$folder" >&2; exit 64 ;; esac
  case "$folder/" in "$base"/*) echo "$folder" >&2; exit 64 ;; esac
done || exit 64
rm -rf "$base"/medsec-drill-*
[ -d "$base" ] || mkdir -p -m 711 -- "$base" || exit 70
parent=$base
while [ "$parent" != / ]; do
  parent=$(dirname "$parent")
  case $(stat -c %A "$parent") in *x | *t) ;; *) echo "$parent is shut to the database's account" >&2; exit 70 ;; esac
done
# A host that loses its power in between clears away when it boots, before anybody could start what lies there.
mkdir -p /etc/tmpfiles.d && printf '%s\n' "R! $base/medsec-drill-*" "r! $6" > "$6" || exit 70
exec systemd-run --quiet --pipe --wait --collect --unit="$1" --service-type=exec \
  -p RuntimeMaxSec="$4" -p TimeoutStopSec=10 -p PrivateNetwork=yes -p PrivateTmp=yes -p ProtectSystem=strict \
  -p ReadWritePaths="$base" -p ProtectHome=yes -p ExecStopPost="/bin/sh -c 'for n in 1 2 3 4 5 6 7 8 9; do rm -rf $base/$1 && exit 0; sleep 1; done; exit 1'" \
  -p ExecStopPost="+/bin/rm -f $6" \
  -- /bin/sh -c "$5" sh "$1" "$base/$1" "$3"
"""
# What of a host's words is read: a line, its errors, and all, in bytes.
_LINE, _WORDS, _MOST = 2**20, 2**16, 2**26
_AT_BOOT = "/etc/tmpfiles.d/medsec-drill.conf"
_GONE = '[ ! -e "$2/$1" ] && [ "$(systemctl is-active "$1")" != active ]'


@dataclass(frozen=True)
class Line:
    """One thing that the host said: when (its own clock, seconds since 1970), what kind, which text."""

    time: float
    kind: str
    text: str


@dataclass
class Scratch:
    """What became of a restore: the host's words, and whether nothing of it is left there."""

    lines: list[Line] = field(default_factory=list)
    said: str = ""
    gone: bool = False

    @property
    def fault(self) -> tuple[str, str] | None:
        """The code and the words of what stopped it, or None where it came to its end."""
        for line in self.lines:
            if line.kind == "fault":
                code, _, text = line.text.partition(" ")
                return code, text
        return None if any(line.kind == "end" for line in self.lines) else ("ended", plain(self.said)[-300:])

    def restored(self) -> Restored:
        """Return what the restored servers hold. Raises ProbeError where the host did not say it as a drill does."""
        try:
            return self._restored()
        except (ValueError, KeyError, TypeError) as error:
            raise ProbeError(
                says(
                    en=f"the drill's host said what no drill says ({type(error).__name__}); drill again",
                    zh=f"演练主机返回的内容无法识别（{type(error).__name__}）；请重新演练",
                )
            ) from error

    def _restored(self) -> Restored:
        tables: dict[str, dict[str, tuple[int, str]]] = {}
        canaries: dict[str, dict[str, Any] | None] = {}
        dump = cluster = ""
        for line in self.lines:
            if line.kind == "restored":
                cluster = line.text
                canaries[cluster] = None
            elif line.kind == "holds":
                dump = line.text
                tables[dump] = {}
            elif line.kind == "table":
                value = json.loads(line.text)
                tables[dump][str(value["table"])] = (int(value["rows"]), str(value["hash"]))
            elif line.kind == "canary":
                canary = json.loads(line.text) if line.text.strip() else None
                canaries[cluster] = canary if isinstance(canary, dict) else None
        return Restored(tables, canaries, frozenset(line.text for line in self.lines if line.kind == "sound"))

    def seconds_to_data(self) -> float:
        """Return the seconds from the first step until the last restored server had its data, comparing left out."""
        spent, began = 0.0, 0.0
        for line in self.lines:
            if line.kind in ("step", "restored", "end", "fault"):
                if began:
                    spent += line.time - began
                began = (
                    line.time
                    if line.kind == "step" and line.text in ("copy", "digest", "start", "restore")
                    else 0.0
                )
        return spent

    def steps(self) -> Iterator[tuple[str, float, float]]:
        """Yield each step with its start and seconds."""
        marks = [line for line in self.lines if line.kind in ("step", "end", "fault")]
        for line, following in itertools.pairwise(marks):
            if line.kind == "step":
                yield line.text, line.time, following.time - line.time


class DrillHeld(MedsecError):
    """Another drill is going on there."""


def restore(
    target: Host,
    unit: str,
    base: str,
    folder: str,
    engine: Engine,
    *,
    seconds: int,
    source: Host | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> Scratch:
    """Restore the backup in `folder` on `target` below `base`, and return what was seen.

    + source: the host that has the backup, where it is another
    + seconds: after which the host ends it

    Raises UsageError where `base` is a live server's, HostUnreachable, DrillHeld.
    """
    clients = open_clients(target, Limits())
    scratch = Scratch()
    try:
        with contextlib.ExitStack() as stack:
            set_ = folder if source is None else "-"
            text = engine.text.replace("$", "$$")  # systemd puts its own variables for a single one
            line = shell_as_root(
                _BOOT, unit, base, set_, str(seconds), text, _AT_BOOT, privilege=Privilege.of(target.login)
            )
            channel = _open(clients, target, line)
            if source is not None:
                stack.enter_context(_sent(source, folder, channel))
            code = _read(channel, scratch, on_step, seconds)
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise _lost(target, error) from error
    finally:
        for client in reversed(clients):
            client.close()
    _refuse(target, base, code, scratch.said)
    scratch.gone = _gone(target, unit, base)
    return scratch


def _open(clients: list[paramiko.SSHClient], host: Host, line: CommandLine) -> paramiko.Channel:
    transport = clients[-1].get_transport()
    if transport is None:
        raise _lost(host, EOFError())
    channel = transport.open_session(timeout=15)
    channel.exec_command(line.text.encode())
    channel.sendall(line.first)
    return channel


def _read(channel: paramiko.Channel, scratch: Scratch, on_step: Callable[[str], None], seconds: int) -> int:
    channel.settimeout(seconds + 60)
    said = bytearray()

    def errors() -> None:
        with contextlib.suppress(OSError):
            while more := channel.recv_stderr(65536):
                said.extend(more)
                del said[:-_WORDS]

    listening = threading.Thread(target=errors, daemon=True)
    listening.start()
    with channel.makefile("rb") as stream:
        read = 0
        while raw := stream.readline(_LINE):
            read += len(raw)
            if read > _MOST:
                channel.close()
                raise ProbeError(
                    says(
                        en=f"the drill's host said more than {_MOST} bytes; nothing is concluded",
                        zh=f"演练主机的输出超过 {_MOST} 字节，不作结论",
                    )
                )
            time, _, rest = raw.decode("utf-8", "backslashreplace").rstrip("\n").partition("\t")
            kind, _, text = rest.partition("\t")
            line = Line(float(time) if time.replace(".", "", 1).isdigit() else 0.0, kind, text)
            scratch.lines.append(line)
            if kind == "step":
                on_step(text)
    listening.join(5)
    scratch.said = said.decode("utf-8", "replace").strip()
    return channel.recv_exit_status()


@contextlib.contextmanager
def _sent(source: Host, folder: str, channel: paramiko.Channel) -> Iterator[None]:
    """Send the backup from its host to the target's input, through this machine, while the block runs."""
    clients = open_clients(source, Limits())
    try:
        home, _, name = folder.rpartition("/")
        line = shell_as_root(
            f"exec tar -c -C {shlex.quote(home)} -- {shlex.quote(name)}", privilege=Privilege.of(source.login)
        )
        giving = _open(clients, source, line)

        def pump() -> None:
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                while data := giving.recv(1 << 18):
                    channel.sendall(data)

        threading.Thread(target=pump, daemon=True).start()
        yield
    finally:
        for client in reversed(clients):
            client.close()


def _refuse(target: Host, base: str, code: int, said: str) -> None:
    if code == _REFUSED:
        raise UsageError(
            says(
                en=f"host {target.name}: {base} cannot be the scratch folder: a live server has its data in {said}; "
                "set restore_drill_recent_scratch to a folder of its own",
                zh=f"主机 {target.name}：{base} 不能用作演练目录：在用数据库的数据位于 {said}；"
                "请将 restore_drill_recent_scratch 设为独立目录",
            )
        )
    if code == _BUSY:
        raise DrillHeld(
            says(
                en=f"host {target.name}: another drill is going on there; try again when it has ended",
                zh=f"主机 {target.name}：已有演练正在进行；请待其结束后重试",
            )
        )


def _gone(target: Host, unit: str, base: str) -> bool:
    """Look over a fresh login whether anything of the drill is left."""
    clients = open_clients(target, Limits())
    try:
        channel = _open(clients, target, shell_as_root(_GONE, unit, base, privilege=Privilege.of(target.login)))
        return channel.recv_exit_status() == 0
    finally:
        for client in reversed(clients):
            client.close()


def _lost(host: Host, error: Exception) -> HostUnreachable:
    text: Text = says(
        en=f"host {host.name}: the connection was lost during the drill ({error}); the host ends it by itself",
        zh=f"主机 {host.name}：演练过程中连接中断（{error}）；主机将自行终止并清理",
    )
    return HostUnreachable(text)
