"""What runs by itself on a host: the lines of cron tables, of scheduled scripts and of the site's own units."""

from __future__ import annotations

import re
from dataclasses import dataclass

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import says

# Scripts that a table or a unit names are read too, and those that these name. Of a file that speaks of logs, locks or
# the clock all lines come along: a variable says elsewhere which folder is meant.
_READ = r"""
export LC_ALL=C
for tool in awk find grep xargs; do command -v $tool > /dev/null || { echo "$tool is missing" >&2; exit 3; }; done
tables() {
  find /etc/crontab /etc/anacrontab /etc/cron.d /etc/cron.hourly /etc/cron.daily /etc/cron.weekly /etc/cron.monthly \
    /etc/cron.yearly /var/spool/cron /var/spool/anacron /etc/rc.local /etc/rc.d/rc.local /etc/systemd/system \
    /run/systemd/system /run/systemd/transient /usr/local/lib/systemd/system /root/.config/systemd/user \
    /etc/network /etc/NetworkManager/dispatcher.d \
    -follow -type f -size -512k ! -name '*.dpkg-*' ! -name '*.rpm*' -print 2> /dev/null
}
of() { tr '\n' '\0' | xargs -0 -r "$@" 2> /dev/null; }
named() { # FIND'S TESTS : the files that those on stdin name
  of grep -hoIE '/[[:alnum:]_.][^][ ;|&"<>(){}$`=:,'"'"'[:cntrl:]]+' | sort -u |
    of sh -c 'tests=$1; shift; find -L "$@" -maxdepth 0 -type f -size -512k ! -path "/proc/*" ! -path "/sys/*" ! -path "/var/log/*" $tests' sh "$1"
}
first=$(tables; tables | named)
words='/var/log|--vacuum|logrotate|faillock|ntpdate|sntp|rdate|htpdate|chronyd|ntpd|hwclock|date (-[a-z]+ )*-(s|-set)|set-time'
{ printf '%s\n' "$first"; printf '%s\n' "$first" | named '-perm /111'; } | sort -u |
  of grep -lIE "^[[:space:]]*([^#;[:space:]].*)?($words)" |
  of grep -IHnE "^[[:space:]]*([^#;[:space:]].*)?($words|/run/systemd|[[:alnum:]_]=[^ ]*[/0-9]|>|(^|[^[:alnum:]_-])(cd|pushd|for|rm|unlink|shred|truncate|find|xargs|mv|cp|ln|dd|tee|tmp(watch|reaper))[[:space:]])"
systemd-tmpfiles --cat-config --no-pager 2> /dev/null | awk '
  /^# \// { file = substr($0, 3); next }
  $1 ~ /^[a-zA-Z]/ && ($2 ~ /^"?(\/var\/log|%L)(\/|"?$)/ || $2 == "/var") { print file ":0:tmpfiles " $0 }'
echo '==== end'
"""


@dataclass(frozen=True)
class Line:
    """A line of a table, a script or a unit, without comments."""

    path: str
    number: int
    text: str
    # The text with the file's own variables put in, and the folder that it has gone to before relative paths.
    meant: str = ""

    @property
    def meaning(self) -> str:
        return self.meant or self.text

    def __str__(self) -> str:
        return f"{self.path}:{self.number}: {self.text}"


def jobs(host: Host) -> list[Line]:
    """Return the lines of scheduled files that speak of logs, locks or the clock. Raises ProbeError when unreadable."""
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
    found: list[Line] = []
    files: dict[str, _File] = {}
    for row in output.splitlines():
        match = re.match(r"(/[^:]+):([0-9]+):\s*(.*)", row)
        if match and not re.match(r"$|[#;]|(Description|Documentation)=", match.group(3)):
            path, text = match.group(1), match.group(3).strip()
            meant = files.setdefault(path, _File()).meaning(text)
            found.append(Line(path, int(match.group(2)), text, meant if meant != text else ""))
    return found


_ASSIGNED = re.compile(
    r"(?:^|[;\s])([A-Za-z_]\w*)=(\"[^\"]*\"|'[^']*'|[^\s;&|]*)|\bfor\s+([A-Za-z_]\w*)\s+in\s+([^;]+)"
)
_USED = re.compile(r"\$(?:([A-Za-z_]\w*)|\{(\w+)(?::?[-=]([^}]*))?\})")
_VERBS = r"(?:rm|unlink|shred|truncate|find|tmpreaper|tmpwatch|mv|cp|ln)"


class _File:
    """What has been said so far in one file: its variables, and the folder below /var/log that it went to."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.folder = ""

    def meaning(self, text: str) -> str:
        text = _USED.sub(self._value, text)
        for name, value, each, values in _ASSIGNED.findall(text):
            self.variables[name or each] = (value or values).strip("\"' ")
        return "".join(self._placed(part) for part in re.split(r"(&&|\|\||[;|])", text))

    def _value(self, found: re.Match[str]) -> str:
        known = self.variables.get(found[1] or found[2])
        return known if known is not None else found[3] if found[3] is not None else found[0]

    def _placed(self, command: str) -> str:
        went = re.search(r"(?:\b(?:cd|pushd)\s+|WorkingDirectory=)[\"']?(/[^\s\"']*)", command)
        if went:
            self.folder = went[1].rstrip("/") if re.match(r"/var/log(/|$)", went[1]) else ""
            return command
        if not self.folder:
            return command
        if re.search(r"\bxargs\b.*\b(rm|unlink|shred|truncate)\b", command):
            return f"{command} {self.folder}"
        if re.search(r"\bfind\s+-", command):
            return re.sub(r"\bfind\s", f"find {self.folder} ", command)
        verb = re.search(rf"(?:^|[\s\"'(`]){_VERBS}\s", command)
        if verb:
            words = re.sub(r"(^|(?<=\s))(?![0-9]?>)(?=[\w.*?])", f"{self.folder}/", command[verb.end() :])
            command = command[: verb.end()] + words
        return re.sub(r">\s*(?=[\w.*])", f"> {self.folder}/", command)


def deletes_logs(line: Line, days: int) -> bool:
    """Return whether the line deletes or empties logs younger than `days` days."""
    text = re.split(r"(?<=\s)#", line.meaning)[0]
    if text.startswith("tmpfiles "):
        return _tmpfiles_delete(text.split()[1:], days)
    if re.search(r"\bjournalctl\b.*--vacuum-(size|files)", text):
        return True
    vacuum = re.search(r"\bjournalctl\b.*--vacuum-time[= ]\"?([0-9]+)\s*([a-zA-Z]*)", text)
    if vacuum:
        return int(vacuum.group(1)) * _UNIT_DAYS.get(vacuum.group(2), 0) < days
    deleted = r"-delete\b|\b(rm|unlink|shred|truncate)\b|>\s*[\"']?\{\}|cp /dev/null"
    if re.search(rf"\bfind\b.*/var(/log(?![\w.-])|/?(?=[\s\"'])).*({deleted})", text):
        ages = [int(number) for number in re.findall(r"-[mc]time\s+\+([0-9]+)", text)]
        ages += [int(number) // 1440 for number in re.findall(r"-[mc]min\s+\+([0-9]+)", text)]
        return not ages or max(ages) < days
    emptied = (
        r"\b(rm|unlink|shred|truncate|tmpreaper|tmpwatch)\b[^;&|#>]*/var/log(/|\b)",
        r"(\bcat\s+/dev/null|:|\btrue|\becho(\s+-n)?(\s+(\"\"|''))?|\broot|^|[;&])\s*>\s*/var/log/",
        r"\bcp\s+(-\S+\s+)*/dev/null\s+/var/log/",
        r"/var/log/.*\|\s*(sudo\s+)?xargs\b.*\b(rm|unlink|shred|truncate)\b",
        r"\bxargs\b.*\b(rm|unlink|shred|truncate)\b.*/var/log\b",
        r"\bdd\b[^;&|#]*\bof=/var/log/",
        r"\bln\s+-\w*s\w*\s+/dev/null\s+/var/log/",
        r"\bmv\s[^;&|#>]*/var/log/\S+\s+/(tmp|dev|run)\b",
        r"\btee\s+/var/log/[^|;&]*<\s*/dev/null",
    )
    return any(re.search(pattern, text) for pattern in emptied)


def _tmpfiles_delete(fields: list[str], days: int) -> bool:
    """Return whether a line of tmpfiles.d(5) deletes: `R`, `r` and `D` by their nature, others by their age field."""
    if fields[0][0] in "rRD":
        return True
    age = fields[5].lstrip("~abcmABCM:") if len(fields) > 5 else "-"
    if not re.fullmatch(r"([0-9]+[a-zA-Z]*)+", age):
        return False
    return (
        sum(int(number) * _UNIT_DAYS.get(unit, 0) for number, unit in re.findall(r"([0-9]+)([a-zA-Z]*)", age))
        < days
    )


_CLOCK = (
    r"(^|[\s;&|(/=`!@+-])(ntpdate|ntpdate-debian|ntpdig|sntp|rdate|htpdate|chronyd|ntpd|openntpd)([\s\"';&|)]|$)",
    r"\bhwclock\b.*(\s-\w*s\b|--hctosys)",
    r"\bdate\s+(-\w+\s+)*(-\w*s|--set)\b",
    r"\bdate\s+(-\w+\s+)*[0-9]{8}",
    r"\btimedatectl\b.*\bset-time\b",
)
_TIME_SERVICES = "(chronyd?|chrony-wait|systemd-timesyncd|ntp|ntpd|ntpsec|openntpd)"
_OF_TIME_SERVICES = re.compile(rf"/(init\.d/{_TIME_SERVICES}|{_TIME_SERVICES}\.service(\.d/[^/]+)?)$")


def sets_clock(line: Line) -> bool:
    """Return whether the line sets the clock or starts what does; the units of time services are judged for themselves."""
    if _OF_TIME_SERVICES.search(line.path):
        return False
    asked = r"\[+\s[^\]]*\]+|\btest\s+-\w\s+\S+|\b(command\s+-v|which|type)\s+\S+"  # whether a program is there
    return any(re.search(pattern, re.sub(asked, "", line.meaning)) for pattern in _CLOCK)


# Units that are shorter than a day count as none.
_UNIT_DAYS = {"d": 1, "day": 1, "days": 1, "w": 7, "week": 7, "weeks": 7, "month": 30, "months": 30, "M": 30} | {
    "y": 365, "year": 365, "years": 365
}  # fmt: skip
