"""What runs by itself on a host: the lines of cron tables, of scheduled scripts and of the site's own units."""

from __future__ import annotations

import re
from dataclasses import dataclass

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import says

# Scripts that a table or a unit names are read too, where a site keeps its own.
_READ = r"""
export LC_ALL=C
command -v find > /dev/null || { echo 'find is missing' >&2; exit 3; }
tables() {
  find /etc/crontab /etc/anacrontab /etc/cron.d /etc/cron.hourly /etc/cron.daily /etc/cron.weekly /etc/cron.monthly \
    /etc/cron.yearly /var/spool/cron /var/spool/anacron /etc/rc.local /etc/rc.d/rc.local /etc/systemd/system \
    /run/systemd/system /usr/local/lib/systemd/system /root/.config/systemd/user \
    -follow -type f -size -512k ! -name '*.dpkg-*' ! -name '*.rpm*' -print 2> /dev/null | sort -u
}
scripts() {
  tables | tr '\n' '\0' | xargs -0 -r grep -hoE '/(usr/local|opt|root|home|srv|etc|var/lib)/[^][ ;|&"<>()]+' 2> /dev/null |
    tr -d "'" | sort -u | while IFS= read -r path; do
      case $path in /etc/cron*) continue ;; esac
      if [ -f "$path" ] && [ "$(stat -L -c %s "$path")" -lt 524288 ]; then printf '%s\n' "$path"; fi
    done
}
{ tables; scripts; } | sort -u | tr '\n' '\0' | xargs -0 -r grep -IHnE '/var/log|--vacuum|logrotate|/run/systemd/system' 2> /dev/null
systemd-tmpfiles --cat-config --no-pager 2> /dev/null | awk '
  /^# \// { file = substr($0, 3); next }
  $1 ~ /^[a-zA-Z]/ && ($2 ~ /^"?\/var\/log(\/|"?$)/ || $2 == "/var") { print file ":0:tmpfiles " $0 }'
echo '==== end'
"""


@dataclass(frozen=True)
class Line:
    """A line of a table, a script or a unit, without comments."""

    path: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.number}: {self.text}"


def lines_on_logs(host: Host) -> list[Line]:
    """Return the scheduled lines of `host` that speak of logs. Raises ProbeError when they cannot be read."""
    answer = host.run(_READ)
    if not answer.stdout.rstrip().endswith("==== end"):
        raise ProbeError(
            says(
                en=f"the scheduled jobs cannot be read (find and grep, as root): {answer.stderr.strip()}",
                zh=f"无法读取计划任务（需要 find、grep 和 root 权限）：{answer.stderr.strip()}",
            )
        )
    return parse_lines(answer.stdout)


def parse_lines(output: str) -> list[Line]:
    """Return the lines that grep printed as FILE:NUMBER:TEXT, comments left out."""
    found = []
    for row in output.splitlines():
        match = re.match(r"(/[^:]+):([0-9]+):\s*(.*)", row)
        if match and match.group(3) and match.group(3)[0] not in "#;":
            found.append(Line(match.group(1), int(match.group(2)), match.group(3).strip()))
    return found


def deletes_logs(line: Line, days: int) -> bool:
    """Return whether the line deletes or empties logs younger than `days` days."""
    text = re.split(r"(?<=\s)#", line.text)[0]
    if text.startswith("tmpfiles "):
        return _tmpfiles_delete(text.split()[1:], days)
    if re.search(r"\bjournalctl\b.*--vacuum-(size|files)", text):
        return True
    vacuum = re.search(r"\bjournalctl\b.*--vacuum-time[= ]\"?([0-9]+)\s*([a-zA-Z]*)", text)
    if vacuum:
        return int(vacuum.group(1)) * _UNIT_DAYS.get(vacuum.group(2), 0) < days
    if re.search(r"\bfind\b.*/var(/log)?(/|\s|\"|').*(-delete\b|\brm\b|\bunlink\b|\bshred\b|\btruncate\b)", text):
        ages = [int(number) for number in re.findall(r"-[mc]time\s+\+([0-9]+)", text)]
        ages += [int(number) // 1440 for number in re.findall(r"-[mc]min\s+\+([0-9]+)", text)]
        return not ages or max(ages) < days
    emptied = (
        r"\b(rm|unlink|shred|truncate|tmpreaper|tmpwatch)\b[^;&|#>]*/var/log(/|\b)",
        r"(\bcat\s+/dev/null|:|\btrue|\becho(\s+-n)?(\s+(\"\"|''))?|\broot|^|[;&])\s*>\s*/var/log/",
        r"\bcp\s+/dev/null\s+/var/log/",
    )
    return any(re.search(pattern, text) for pattern in emptied)


def _tmpfiles_delete(fields: list[str], days: int) -> bool:
    """Return whether a line of tmpfiles.d(5) deletes: `R`, `r` and `D` by their nature, others by their age field."""
    if fields[0][0] in "rRD":
        return True
    age = fields[5].lstrip("~abcmABCM:") if len(fields) > 5 else "-"
    found = re.fullmatch(r"([0-9]+)([a-zA-Z]*)", age)
    return found is not None and int(found[1]) * _UNIT_DAYS.get(found[2], 0) < days


# Units that are shorter than a day count as none.
_UNIT_DAYS = {"d": 1, "day": 1, "days": 1, "w": 7, "week": 7, "weeks": 7, "month": 30, "months": 30, "M": 30} | {
    "y": 365, "year": 365, "years": 365
}  # fmt: skip
