"""The journals of a host: what each journald does with its records, by its settings, its files and its disk."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import says

DAY = 86400.0
# What journald.conf(5) gives a journal without settings: shares of its file system, each at most 4 GiB.
_MAX_USE_SHARE, _KEEP_FREE_SHARE, _SHARE_LIMIT = 0.10, 0.15, 4 * 1024**3
# The size at which it begins another file, where nothing is set: an eighth of its limit, between these.
_MIN_FILE_SIZE, _MAX_FILE_SIZE = 512 * 1024, 128 * 1024**2
_LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")

# A journald of its own serves each namespace (LogNamespace=); it reads journald@NAMESPACE.conf.
_READ = r"""
export LC_ALL=C
for tool in systemctl systemd-analyze journalctl stat ps; do command -v $tool > /dev/null || { echo "$tool is missing" >&2; exit 3; }; done
machine=$(cat /etc/machine-id)
place=/var/log/journal
[ -d $place ] || place=/var/log
for unit in systemd-journald.service $(systemctl list-units --all --plain --no-legend 'systemd-journald@*.service' | awk '{ print $1 }'); do
  space=${unit#systemd-journald}; space=${space%.service}; space=${space#@}
  folder=/var/log/journal/$machine${space:+.$space}
  echo "==== journal ${space:-system}"
  pid=$(systemctl show --property=MainPID --value "$unit")
  echo "pid $pid"
  if [ "$pid" != 0 ]; then
    echo "started $(( $(date +%s) - $(ps -o etimes= -p "$pid") ))"
    echo "said $(journalctl -q ${space:+--namespace="$space"} -o short-unix _PID="$pid" MESSAGE_ID=f77379a8490b408bbe5f6940505a777b | tail -n 1 | cut -d' ' -f1)"
    ls -l "/proc/$pid/fd" | sed -n 's,^.* -> \(.*\.journal\)$,open \1,p'
  fi
  echo "now $(date +%s)"
  if [ -d /var/log/journal ]; then echo "folder present"; fi
  stat -f -L -c 'disk %S %b %a' $place
  stat -f -L -c 'type %T' $place
  if [ -d "$folder" ]; then
    stat -f -L -c 'type %T' "$folder"
    echo "used $(du -s -B1 "$folder" | cut -f1)"
    echo "oldest $(journalctl -q -D "$folder" -o short-unix | head -n 1 | cut -d. -f1)"
  fi
  name=journald${space:+@$space}.conf
  config=$(systemd-analyze --no-pager cat-config "systemd/$name" 2> /dev/null || true)
  { printf '%s\n' "$config" | sed -n 's,^# \(/.*\.conf\)$,\1,p'
    for folder in /etc /run /usr/local/lib /usr/lib; do echo "$folder/systemd/$name.d"; done; } |
    while read -r path; do if [ -e "$path" ]; then stat -L -c 'changed %.6Z %n' "$path"; fi; done
  echo "---- settings"
  printf '%s\n' "$config"
done
echo "==== end"
"""


@dataclass(frozen=True)
class Journal:
    """One journal: the host's own ("system") or that of a namespace. Sizes in bytes, times in seconds since 1970."""

    name: str
    facts: Mapping[str, str]
    settings: Mapping[str, str]
    open_files: tuple[str, ...] = ()
    changed: Mapping[str, float] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        return self.facts.get("pid", "0") != "0"

    @property
    def storage(self) -> str:
        return self.settings.get("Storage", "auto").lower()

    @property
    def persistent(self) -> bool:
        """Return whether its settings put it on the disk: `auto` does so only where /var/log/journal is a folder."""
        return self.storage == "persistent" or (self.storage == "auto" and "folder" in self.facts)

    @property
    def on_disk(self) -> bool:
        """Return whether the running daemon writes to the disk, whatever its settings say."""
        volatile = self.facts.get("type") in ("tmpfs", "ramfs")
        return not volatile and any(not path.startswith("/run/") for path in self.open_files)

    @property
    def max_retention_days(self) -> float | None:
        """Return the age at which records are deleted; None where there is none."""
        return _limit(timespan(self.settings.get("MaxRetentionSec", "0")))

    @property
    def max_file_days(self) -> float | None:
        """Return what its files cover together, by their number and age, in days; None where that is no limit."""
        count = int(self.settings.get("SystemMaxFiles", "100"))
        each = _limit(timespan(self.settings.get("MaxFileSec", "1month")))
        return None if count == 0 or each is None else count * each

    @property
    def used(self) -> int:
        return int(self.facts.get("used", "0"))

    @property
    def room(self) -> float:
        """Return how many bytes it may occupy, by its own limits and by what it must leave free."""
        block, blocks, free = (int(word) for word in self.facts["disk"].split())
        disk = block * blocks
        limit = (
            size(self.settings["SystemMaxUse"])
            if "SystemMaxUse" in self.settings
            else _share(disk, _MAX_USE_SHARE)
        )
        keep = (
            size(self.settings["SystemKeepFree"])
            if "SystemKeepFree" in self.settings
            else _share(disk, _KEEP_FREE_SHARE)
        )
        return min(limit, max(self.used + block * free - keep, 0), self._files_hold(limit))

    def _files_hold(self, limit: int) -> float:
        """Return how many bytes its files hold together: so many, each of the size at which the next one is begun."""
        count = int(self.settings.get("SystemMaxFiles", "100"))
        each = min(limit // 8, _MAX_FILE_SIZE)
        if "SystemMaxFileSize" in self.settings:
            each = size(self.settings["SystemMaxFileSize"])
        return count * max(each, _MIN_FILE_SIZE) if count else math.inf

    def needs(self, days: int) -> int | None:
        """Return how many bytes `days` days take at its own pace; None before a week has shown the pace."""
        oldest = float(self.facts.get("oldest") or self.facts["now"])
        span = (float(self.facts["now"]) - oldest) / DAY
        return int(self.used / span * days) if span >= 7 else None

    @property
    def stored_levels(self) -> str | None:
        """Return MaxLevelStore where it drops what a login leaves (`info`), else None."""
        level = self.settings.get("MaxLevelStore", "debug").lower()
        number = int(level) if level.isdigit() else _LEVELS.index(level) if level in _LEVELS else 7
        return level if number < _LEVELS.index("info") else None

    @property
    def unread(self) -> list[str]:
        """Return the settings files and folders that changed after the daemon started: it reads them only then."""
        # `ps` counts whole seconds; the journal says when its daemon had read them, unless that record is gone.
        read = float(self.facts.get("started", "inf")) + 1
        said = float(self.facts.get("said") or 0)
        if said > read - 3:
            read = said
        return sorted(path for path, when in self.changed.items() if when > read)


def journals(host: Host) -> list[Journal]:
    """Return the journals of `host`, its own first.

    Raises ProbeError when a tool of systemd is missing or an answer does not parse.
    """
    answer = host.run(_READ)
    found = list(parse_journals(answer.stdout)) if answer.stdout.rstrip().endswith("==== end") else []
    if answer.rc != 0 or not found or any("disk" not in journal.facts for journal in found):
        raise ProbeError(
            says(
                en=f"the settings of journald cannot be read (systemd-analyze, as root): {answer.stderr.strip()}",
                zh=f"无法读取 journald 的配置（需要 systemd-analyze 和 root 权限）：{answer.stderr.strip()}",
            )
        )
    return found


def parse_journals(output: str) -> Iterator[Journal]:
    """Return the journals that the reading script printed."""
    for part in output.split("==== ")[1:]:
        heading, _, body = part.partition("\n")
        if not heading.startswith("journal "):
            continue
        lines, _, config = body.partition("---- settings\n")
        facts: dict[str, str] = {}
        opened, changed = [], {}
        for line in lines.splitlines():
            word, _, rest = line.partition(" ")
            if word == "open":
                opened.append(rest)
            elif word == "changed":
                when, _, path = rest.partition(" ")
                changed[path] = float(when)
            else:
                facts[word] = rest
        yield Journal(heading.removeprefix("journal "), facts, settings(config), tuple(opened), changed)


def settings(config: str) -> dict[str, str]:
    """Return the settings of section [Journal]: the last assignment counts, an empty one takes back all before it."""
    found: dict[str, str] = {}
    section = ""
    for line in map(str.strip, config.splitlines()):
        if line.startswith("["):
            section = line
        elif section == "[Journal]" and "=" in line and line[0] not in "#;":
            key, _, value = (word.strip() for word in line.partition("="))
            found[key] = value
            if not value:
                del found[key]
    return found


_UNITS = {
    "us": 1e-6, "usec": 1e-6, "ms": 1e-3, "msec": 1e-3, "s": 1, "sec": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "minute": 60, "minutes": 60, "h": 3600, "hr": 3600, "hour": 3600, "hours": 3600,
    "d": DAY, "day": DAY, "days": DAY, "w": 7 * DAY, "week": 7 * DAY, "weeks": 7 * DAY,
    "M": 2629800, "month": 2629800, "months": 2629800, "y": 31557600, "year": 31557600, "years": 31557600,
}  # fmt: skip


def timespan(text: str) -> float:
    """Return the seconds of a time span as systemd.time(7) writes it; `infinity` is one. Raises ProbeError."""
    if text.strip() == "infinity":
        return float("inf")
    words = re.findall(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", text)
    if not words or re.sub(r"[0-9]+(?:\.[0-9]+)?\s*[A-Za-z]*", "", text).strip():
        raise _unreadable(text)
    try:
        return sum(float(number) * (_UNITS[unit] if unit else 1) for number, unit in words)
    except KeyError:
        raise _unreadable(text) from None


def size(text: str) -> int:
    """Return the bytes of a size with a suffix of K, M, G, T, P or E (of 1024). Raises ProbeError."""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGTPE]?)B?\s*", text)
    if not found:
        raise _unreadable(text)
    return int(float(found.group(1)) * 1024 ** ("KMGTPE".index(found.group(2)) + 1 if found.group(2) else 0))


def _limit(seconds: float) -> float | None:
    return None if seconds in (0, float("inf")) else seconds / DAY


def _share(disk: int, share: float) -> int:
    return min(int(disk * share), _SHARE_LIMIT)


def _unreadable(text: str) -> ProbeError:
    return ProbeError(
        says(
            en=f"journald.conf has a value that systemd does not know: {text!r}",
            zh=f"journald.conf 中的取值无法识别：{text!r}",
        )
    )
