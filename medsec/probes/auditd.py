"""auditd's own files: what becomes of them when they are full, as the running daemon was last told."""

from __future__ import annotations

from dataclasses import dataclass

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import says

# A daemon that was sent SIGHUP and took its settings says so in its own log.
_READ = r"""
export LC_ALL=C
for tool in date find grep ps sed sort stat systemctl tr; do command -v $tool > /dev/null || { echo "$tool is missing" >&2; exit 3; }; done
u=$(systemctl show -p LoadState -p ActiveState -p UnitFileState -p MainPID auditd.service) || exit 3
printf '%s\n' "$u" "now=$(date +%s)"
case $u in *LoadState=loaded*) ;; *) exit 0 ;; esac
pid=${u#*MainPID=}
pid=${pid%%[!0-9]*}
c=/etc/audit
if [ "$pid" != 0 ]; then
  echo "told=$(($(date +%s) - $(ps -o etimes= -p "$pid")))"
  d=$(tr '\0' '\n' < "/proc/$pid/cmdline" | sed -n '/^-c$/{n;p}')
  c=${d:-$c}
fi
c=$c/auditd.conf
echo "config=$c"
echo "changed=$(stat -L -c %Z "$c")"
l=$(sed -n 's/^[[:space:]]*log_file[[:space:]]*=[[:space:]]*//p' "$c" | tail -n 1)
l=${l:-/var/log/audit/audit.log}
grep -hsE '^type=DAEMON_CONFIG .* res=success' "$l" "$l.1" | sed -n 's/.*audit(\([0-9]*\)\..*/told=\1/p'
if [ -e "$l" ]; then find "${l%/*}" -maxdepth 1 -name "${l##*/}*" -printf 'written=%T@\n'; fi
echo ====
cat "$c"
"""


@dataclass(frozen=True)
class Auditd:
    """auditd's settings (names and values in small letters), and times in seconds since 1970."""

    # Whether it runs, or boot starts it.
    used: bool
    config: str
    settings: dict[str, str]
    # When its oldest file was last written; None where it has none.
    oldest: float | None
    # Whether it runs on settings older than those in the file.
    unread: bool
    now: float

    @property
    def overwrites(self) -> bool:
        """Whether it deletes its oldest file for each new one."""
        return self.settings.get("max_log_file_action") == "rotate" and self.number >= 2

    @property
    def number(self) -> int:
        """How many files it keeps where it rotates; fewer than two are not rotated (auditd.conf(5))."""
        number = self.settings.get("num_logs", "0")
        return int(number) if number.isdigit() else 0


def auditd(host: Host) -> Auditd | None:
    """Return how auditd keeps its files, or None where there is none. Raises ProbeError where the host does not tell."""
    answer = host.run(_READ)
    if answer.rc != 0:
        raise _unread(answer.stderr.strip()[-300:] or f"exit code {answer.rc}")
    return parse(answer.stdout)


def parse(text: str) -> Auditd | None:
    """Read what the host answered. Raises ProbeError for anything but a whole answer."""
    head, _, config = text.partition("====\n")
    told: dict[str, list[str]] = {}
    for name, _, value in (line.partition("=") for line in head.splitlines()):
        told.setdefault(name, []).append(value)
    if "now" in told and told.get("LoadState") in (["not-found"], ["masked"]):
        return None
    if "changed" not in told or not config.strip():
        raise _unread(head[-300:])
    lines = (line.partition("=") for line in config.splitlines() if not line.lstrip().startswith("#"))
    running = max((float(time) for time in told.get("told", ())), default=None)
    return Auditd(
        used=told["ActiveState"][0] == "active" or told["UnitFileState"][0].startswith("enabled"),
        config=told["config"][0],
        settings={name.strip().lower(): value.strip().lower() for name, _, value in lines if name.strip()},
        oldest=min((float(time) for time in told.get("written", ())), default=None),
        unread=running is not None and float(told["changed"][0]) > running + 1,
        now=float(told["now"][0]),
    )


def _unread(said: str) -> ProbeError:
    return ProbeError(
        says(en=f"the settings of auditd cannot be read: {said}", zh=f"无法读取 auditd 的配置：{said}")
    )
