"""What logrotate would do: its rules as it reads them itself, and everything that starts it."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.probes.scheduled import Line
from medsec.text import says

MAIN = "/etc/logrotate.conf"
HOUR = 1 / 24

# `logrotate -d` reads everything and changes nothing. It says all about a rule but its `maxage`; so the texts come along.
_RULES = r"""
export LC_ALL=C
cd / || exit 3
command -v logrotate > /dev/null || exit 4
said=$(logrotate -d %s 2>&1)
printf '%%s\n' "$said"
printf '%%s\n' "$said" | sed -n 's/^including //p' | sort -u | while IFS= read -r place; do
  if [ -d "$place" ]; then find -L "$place" -maxdepth 1 -type f; else printf '%%s\n' "$place"; fi
done | { printf '%%s\n' %s; cat; } | while IFS= read -r file; do
  if [ -f "$file" ]; then printf '\n==== file %%s\n' "$file"; cat "$file"; fi
done
printf '\n==== end\n'
"""

_STARTERS = r"""
export LC_ALL=C
command -v systemctl > /dev/null || { echo 'systemctl is missing' >&2; exit 3; }
command -v logrotate > /dev/null && echo 'logrotate=present'
systemctl show --property=ExecStart logrotate.service
systemctl show --property=LoadState --property=ActiveState --property=UnitFileState --property=TimersCalendar \
  --property=TimersMonotonic logrotate.timer
for unit in cron crond cronie; do
  if [ "$(systemctl is-active $unit 2> /dev/null)" = active ] && [ "$(systemctl is-enabled $unit 2> /dev/null)" = enabled ]; then echo cron=$unit; fi
done
entered=$(systemctl show --property=ActiveEnterTimestamp --value logrotate.timer)
if [ -n "$entered" ]; then echo "WaitingHours=$(( ($(date +%s) - $(date -d "$entered" +%s)) / 3600 ))"; fi
last=$(stat -c %Y /var/lib/logrotate/status /var/lib/logrotate/logrotate.status /var/lib/logrotate.status 2> /dev/null | sort -n | tail -n 1)
if [ -n "$last" ]; then echo "LastRunHours=$(( ($(date +%s) - last) / 3600 ))"; fi
echo "LogDisk=$(stat -f -L -c %T /var/log)"
echo '==== end'
"""


@dataclass(frozen=True)
class Rule:
    """What logrotate does with the files of one pattern."""

    pattern: str
    every: str  # its own words: "weekly", "after 1 days", "1048576 bytes"
    keeps: int | None  # rotated files; None: never deletes one
    earlier: bool = False  # `maxsize`: a large file does not wait for its day
    max_age: int | None = None  # days after which a rotated file is deleted
    folder: str = ""  # where rotated files go (`olddir`), if not beside the log

    def days(self, interval: float, forced: bool = False) -> float:
        """Return for how many days a record is kept at the very least, where logrotate runs every `interval` days.

        One run rotates a file at most once. So a rule by size, or a rule that is forced, still keeps as many intervals
        as it keeps files.
        """
        if re.match(r"/(run|tmp|var/run|var/tmp|dev/shm)(/|$)", self.folder):
            return 0  # gone with the next start, or cleaned
        counted = self._counted(interval, forced)
        return counted if self.max_age is None else min(counted, self.max_age)

    def _counted(self, interval: float, forced: bool) -> float:
        if self.keeps is None:
            return math.inf
        if self.earlier or forced or self.every.endswith("bytes"):
            return self.keeps * interval
        if self.every == "monthly":
            return shortest_months(self.keeps)
        fixed = {"hourly": max(HOUR, interval), "weekly": 7, "yearly": 365}
        if self.every in fixed:
            return self.keeps * fixed[self.every]
        found = re.fullmatch(r"after ([0-9]+) days", self.every)
        if not found:
            raise ProbeError(
                says(
                    en=f"logrotate -d says {self.every!r} of {self.pattern}, which this version of medsec does not know",
                    zh=f"logrotate -d 对 {self.pattern} 输出了无法识别的轮转周期：{self.every!r}",
                )
            )
        return self.keeps * max(int(found.group(1)), interval)

    def __str__(self) -> str:
        words = [self.every, f"rotate {-1 if self.keeps is None else self.keeps}"]
        words += ["maxsize"] if self.earlier else []
        words += [f"maxage {self.max_age}"] if self.max_age is not None else []
        words += [f"olddir {self.folder}"] if self.folder else []
        return ", ".join(words)


@dataclass(frozen=True)
class Ruling:
    """All rules of one configuration, and what logrotate complains of."""

    rules: tuple[Rule, ...]
    complaints: tuple[str, ...]
    scripts: tuple[Line, ...]
    compressors: tuple[str, ...] = ()  # programs that are none of the known ones


@dataclass(frozen=True)
class Start:
    """Something that starts logrotate: how often at most (days), with which configurations, whether by force."""

    by: str
    configs: tuple[str, ...]
    interval: float
    forced: bool = False


@dataclass(frozen=True)
class Starters:
    """The timer and the cron daemons, as the host's service manager sees them."""

    facts: Mapping[str, str]
    programs: tuple[tuple[str, ...], ...]  # the command lines of logrotate.service

    @property
    def installed(self) -> bool:
        return "logrotate" in self.facts

    @property
    def timer_set(self) -> bool:
        """Return whether the timer waits now and will wait after the next boot."""
        return self.facts.get("ActiveState") == "active" and self.facts.get("UnitFileState") in (
            "enabled",
            "static",
            "alias",
        )

    @property
    def timer_words(self) -> str:
        facts = (self.facts.get(name, "") for name in ("LoadState", "ActiveState", "UnitFileState"))
        return ", ".join(dict.fromkeys(filter(None, facts)))

    @property
    def overdue_hours(self) -> int | None:
        """Return for how long logrotate has not run, where the timer had its chance for two days; else None."""
        waiting = int(self.facts.get("WaitingHours", "0"))
        since = int(self.facts.get("LastRunHours", str(waiting)))
        return since if waiting > 48 and since > 48 else None

    @property
    def cron_runs(self) -> bool:
        return "cron" in self.facts


def starters(host: Host) -> Starters:
    """Return what starts logrotate by the service manager. Raises ProbeError when systemctl is missing."""
    answer = host.run(_STARTERS)
    if answer.rc != 0 or not answer.stdout.rstrip().endswith("==== end"):
        raise ProbeError(
            says(
                en=f"the units of logrotate cannot be read: {answer.stderr.strip()}",
                zh=f"无法读取 logrotate 的服务单元：{answer.stderr.strip()}",
            )
        )
    return parse_starters(answer.stdout)


def parse_starters(output: str) -> Starters:
    """Return the starters from lines of NAME=VALUE."""
    facts: dict[str, str] = {}
    calendar: list[str] = []
    programs: list[tuple[str, ...]] = []
    for line in output.splitlines():
        name, _, value = line.partition("=")
        if name == "ExecStart":
            programs += [_words(found) for found in re.findall(r"argv\[\]=(.*?) ;", value)]
        elif name in ("TimersCalendar", "TimersMonotonic") and value:
            calendar.append(value)
        else:
            facts[name] = value
    return Starters(facts | {"calendar": "\n".join(calendar)}, tuple(programs))


def starts(found: Starters, lines: Iterable[Line]) -> list[Start]:
    """Return everything that starts logrotate, of which the first is the timer where it is set."""
    result = []
    if found.timer_set:
        every = found.facts["calendar"].splitlines()
        once_a_day = len(every) == 1 and re.search(
            r"OnCalendar=([A-Za-z.,]+ )?\S+ [0-9]{2}:[0-9]{2}:[0-9]{2} ", every[0]
        )
        for program in found.programs:
            start = _start("logrotate.timer", program, 1 if once_a_day else HOUR)
            result += [start] if start else []
    return result + [start for start in _by_cron(lines) if found.cron_runs or "/systemd/" in start.by]


def _by_cron(lines: Iterable[Line]) -> Iterator[Start]:
    lines = list(lines)
    # The package's own script leaves the work to systemd where there is one.
    idle = {line.path for line in lines if "/run/systemd/system" in line.text and "-d" in line.text}
    for line in lines:
        # logrotate.service is asked of systemd; what a rule's own script does is none of this.
        if line.path in idle or "/systemd/system/logrotate.service" in line.path or "/logrotate.d/" in line.path:
            continue
        for command in re.findall(r"(?:^|[\s;&|(=])(?:\S*/)?logrotate(\s+[^;&|)]*)", line.text):
            start = _start(str(line.path), ("logrotate", *_words(command)), _interval(line))
            if start:
                yield start


def _start(by: str, program: tuple[str, ...], interval: float) -> Start | None:
    joined = " ".join(program)
    found = re.search(r"(?:^|[\s/])logrotate(\s.*|$)", joined)
    if not found:
        return None
    configs, forced = [], False
    words = iter(_words(found.group(1)))
    for word in words:
        if word in ("-s", "--state", "-m", "--mail", "-l", "--log"):
            next(words, None)
        elif word in ("-f", "--force") or re.fullmatch(r"-[vf]*f[vf]*", word):
            forced = True
        elif word.startswith("/"):
            configs.append(word.strip("'\""))
        elif word.startswith((">", "2>")):
            break
    return Start(by, tuple(configs), interval, forced) if configs else None


def _interval(line: Line) -> float:
    """Return how often, in days, a scheduled line runs at most; an hour's share where that cannot be told."""
    folders = {"cron.daily": 1.0, "cron.weekly": 7.0, "cron.monthly": 28.0, "cron.yearly": 365.0}
    for folder, days in folders.items():
        if f"/{folder}/" in line.path:
            return days
    if re.match(r"@(daily|midnight|weekly|monthly|yearly|annually)\b", line.text):
        return 1
    return 1 if re.match(r"[0-9]+\s+[0-9]+\s+\S+\s+\S+\s+\S+\s", line.text) else HOUR / 60


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError:
        return tuple(text.split())


def ruling(host: Host, configs: Iterable[str]) -> Ruling:
    """Return the rules that logrotate reads from `configs`, given together on one command line.

    Raises ProbeError when logrotate is missing or says what cannot be understood.
    """
    names = shlex.join(configs)
    answer = host.run(_RULES % (names, names))
    if answer.rc != 0 or not answer.stdout.rstrip().endswith("==== end"):
        raise ProbeError(
            says(
                en=f"logrotate cannot be asked for its rules (logrotate -d {names}): {answer.stderr.strip()}",
                zh=f"无法向 logrotate 询问轮转规则（logrotate -d {names}）：{answer.stderr.strip()}",
            )
        )
    return parse_ruling(answer.stdout)


def parse_ruling(output: str) -> Ruling:
    """Return the rules from what `logrotate -d` said, followed by the texts that it read."""
    said, *files = output.split("\n==== ")
    texts = {}
    for part in files:
        heading, _, body = part.partition("\n")
        if heading.startswith("file "):
            texts[heading.removeprefix("file ")] = body
    read = list(_read_order(said, texts))
    reader = _Reader(texts, read)
    for path in read:
        if path not in reader.seen:
            reader.walk(path)
    never_removes = any(re.search(r"^\s*rotate[\s=]+\"?-", text, re.MULTILINE) for text in texts.values())
    rules = tuple(_rules(said, reader.blocks, never_removes))
    return Ruling(rules, tuple(_complaints(said)), tuple(reader.scripts), tuple(_compressors(texts)))


_COMPRESSORS = ("gzip", "pigz", "bzip2", "pbzip2", "xz", "lzma", "zstd", "lz4", "lzop")


def _compressors(texts: Mapping[str, str]) -> Iterator[str]:
    for text in texts.values():
        for name in re.findall(r"^\s*compresscmd[\s=]+\"?([^\s\"]+)", text, re.MULTILINE):
            if name.rsplit("/", 1)[-1] not in _COMPRESSORS:
                yield name


def _complaints(said: str) -> Iterator[str]:
    # What it says while it reads: afterwards it speaks of files that are not there today.
    for line in said.partition("\nHandling ")[0].splitlines():
        if line.startswith("error: "):
            yield line.removeprefix("error: ")


def _read_order(said: str, texts: Mapping[str, str]) -> Iterator[str]:
    folders: list[str] = []
    for line in said.splitlines():
        if line.startswith("including "):
            folders.append(line.removeprefix("including ").rstrip("/"))
        elif line.startswith("reading config file "):
            name = line.removeprefix("reading config file ")
            places = [name, *(f"{folder}/{name}" for folder in reversed(folders))]
            found = next((place for place in places if place in texts), None)
            if found is None:
                raise ProbeError(
                    says(
                        en=f"logrotate read {name}, which cannot be found again; give its configuration by absolute paths",
                        zh=f"找不到 logrotate 读取的配置 {name}；请在配置中使用绝对路径",
                    )
                )
            yield found


# Its two lines on a rule up to 3.21, its one line since 3.22; both end with what it does with empty files and old logs.
_HEAD = re.compile(
    r"\nrotating pattern: (.*?)\s+(hourly|weekly|monthly|yearly|after [0-9]+ days|[0-9]+ bytes) "
    r"((?:[^\n]*\n)?[^\n]*empty log files are (?:not )?rotated[^\n]*)",
    re.DOTALL,
)


def _rules(said: str, blocks: list[tuple[str, int | None]], never_removes: bool) -> Iterator[Rule]:
    waiting = iter(blocks)
    heads = list(_HEAD.finditer(said))
    if len(heads) != said.count("\nrotating pattern: "):
        raise ProbeError(
            says(
                en="what logrotate -d says of its rules cannot be understood",
                zh="无法理解 logrotate -d 输出的轮转规则",
            )
        )
    for found in heads:
        pattern = " ".join(found[1].split())
        age = next((limit for name, limit in waiting if name == pattern), -1)
        if age == -1:
            raise ProbeError(
                says(
                    en=f"logrotate has a rule for {pattern}, which cannot be found in the files that it read",
                    zh=f"logrotate 存在针对 {pattern} 的规则，但在其配置文件中找不到",
                )
            )
        keeps = _keeps(pattern, found[3], never_removes)
        moved = re.search(r"\bolddir is ([^\s,]+)", found[3])
        yield Rule(pattern, found[2], keeps, "are rotated earlier" in found[3], age, moved[1] if moved else "")


def _keeps(pattern: str, words: str, never_removes: bool) -> int | None:
    """Return how many rotated files a rule keeps; None for all of them, of which logrotate says nothing up to 3.21."""
    number = re.search(r"\(([0-9]+) rotations\)", words)
    if number:
        return int(number[1])
    if "no old logs will be kept" in words:
        return 0
    if "kept forever" in words or never_removes:
        return None
    raise ProbeError(
        says(
            en=f"logrotate -d does not say how many files of {pattern} it keeps: {words!r}",
            zh=f"logrotate -d 未说明 {pattern} 保留多少份：{words!r}",
        )
    )


class _Reader:
    """Walks the configuration in logrotate's own order: a setting outside of a block holds for all blocks after it."""

    def __init__(self, texts: Mapping[str, str], order: list[str]) -> None:
        self.texts = texts
        self.order = order
        self.seen: set[str] = set()
        self.blocks: list[tuple[str, int | None]] = []
        self.scripts: list[Line] = []
        self.max_age: int | None = None

    def walk(self, path: str) -> None:
        self.seen.add(path)
        patterns: list[str] = []
        local: int | None = None
        inside = script = False
        for number, raw in enumerate(self.texts[path].splitlines(), 1):
            line = raw.strip()
            if script:
                script = not re.match(r"endscript\b", line)
                if script and line and not line.startswith("#"):
                    self.scripts.append(Line(path, number, line))
                continue
            while line and not line.startswith("#"):
                if not inside and line[0] in "/\"'~*{":
                    before, brace, line = line.partition("{")
                    patterns += [before]
                    if brace:
                        inside, local, line = True, self.max_age, line.strip()
                        continue
                elif inside and line.startswith("}"):
                    self.blocks.append((" ".join(" ".join(patterns).split()), local))
                    inside, patterns, line = False, [], line[1:].strip()
                    continue
                elif re.match(r"(pre|post)rotate\b|(first|last)action\b|preremove\b", line):
                    script = True
                elif found := re.match(r"maxage[\s=]+\"?([0-9]+)", line):
                    if inside:
                        local = int(found.group(1))
                    else:
                        self.max_age = int(found.group(1))
                elif not inside and (found := re.match(r"include[\s=]+\"?([^\s\"]+)", line)):
                    self._include(found.group(1).rstrip("/"))
                break

    def _include(self, place: str) -> None:
        for path in self.order:
            if path not in self.seen and (path == place or path.rpartition("/")[0] == place):
                self.walk(path)


def shortest_months(count: int) -> int:
    """Return the days of the `count` consecutive months that make the least."""
    ends = [date(2001 + (start + count) // 12, (start + count) % 12 + 1, 1) for start in range(12)]
    spans: list[timedelta] = [end - date(2001, start + 1, 1) for start, end in enumerate(ends)]
    return min(span.days for span in spans)
