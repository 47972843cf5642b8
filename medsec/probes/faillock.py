"""What pam_faillock would do: the values in force on each of its lines, options over its configuration file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.probes.pam import Rule
from medsec.probes.scheduled import Line
from medsec.text import says

MAIN = "/etc/security/faillock.conf"
_DEFAULTS = {"deny": 3, "fail_interval": 900, "unlock_time": 600}
_NUMBERS = (*_DEFAULTS, "root_unlock_time")
_FLAGS = ("even_deny_root", "local_users_only")
_SEPARATOR = "\x1e"


@dataclass(frozen=True)
class Settings:
    """The values in force on one line. Times in seconds; 0 means until an administrator resets it."""

    deny: int
    fail_interval: int
    unlock_time: int
    root_unlock_time: int | None  # None where root is not locked at all
    folder: str
    # The group whose members are locked as root is, for root's time; "" where there is none.
    admin_group: str
    # Where each value was set: "default", the line, or the configuration file.
    origin: Mapping[str, str]


def settings(rule: Rule, configurations: Mapping[str, Mapping[str, str]]) -> Settings:
    """Return what holds for one line of pam_faillock; `configurations` are its files' settings by path.

    Raises ProbeError for a number that is none: what pam_faillock makes of it cannot be told.
    """
    path = rule.option("conf") or MAIN
    values: dict[str, str] = {}
    origin: dict[str, str] = {}
    arguments = dict(argument.partition("=")[::2] for argument in rule.arguments)
    for source, found in ((path, configurations.get(path, {})), (str(rule), arguments)):
        for name in (*_NUMBERS, *_FLAGS, "dir", "admin_group"):
            if name in found:
                values[name], origin[name] = found[name], source
    numbers = {name: _number(values[name], name, origin[name]) for name in _NUMBERS if name in values}
    numbers = {**_DEFAULTS, **numbers}
    root: int | None = None
    if "root_unlock_time" in numbers:  # implies even_deny_root
        root = numbers["root_unlock_time"]
    elif "even_deny_root" in values:
        root = numbers["unlock_time"]
    return Settings(
        deny=numbers["deny"],
        fail_interval=numbers["fail_interval"],
        unlock_time=numbers["unlock_time"],
        root_unlock_time=root,
        folder=values.get("dir") or "/run/faillock",
        admin_group=values.get("admin_group", ""),
        origin={name: origin.get(name, "default") for name in _NUMBERS},
    )


def _number(value: str, name: str, source: str) -> int:
    if value == "never":
        return 0
    if not value.isdigit():
        raise ProbeError(
            says(
                en=f"{source}: {name} must be a number of seconds, tries or `never`, got {value!r}",
                zh=f"{source}：{name} 应为数字或 never，实际为 {value!r}",
            )
        )
    return int(value)


def configurations(host: Host, lines: Iterable[Rule]) -> dict[str, dict[str, str]]:
    """Return the settings of the configuration files that these lines name, by path; a missing file has none."""
    paths = sorted({MAIN, *(rule.option("conf") or MAIN for rule in lines)})
    answer = host.run(
        f"export LC_ALL=C; for f in {shlex.join(paths)}; do printf '\\036%s\\n' \"$f\"; "
        """if [ -e "$f" ]; then tr -d '\\200-\\377\\036' < "$f" || exit 9; fi; done"""
    )
    if answer.rc != 0:
        raise ProbeError(
            says(
                en=f"the settings of pam_faillock cannot be read: {answer.stderr.strip()}",
                zh=f"无法读取 pam_faillock 的配置：{answer.stderr.strip()}",
            )
        )
    parts = (part.partition("\n") for part in answer.stdout.split(_SEPARATOR)[1:])
    return {path: parse(text) for path, _, text in parts}


def unusable(host: Host, folders: Sequence[str]) -> list[str]:
    """Return where failures cannot be counted: what is no folder, or not writable with no parent to make it in, and
    what is no file where an account's tally belongs."""
    answer = host.run(
        f'for f in {shlex.join(folders)}; do if [ -d "$f" ]; then test -w "$f"; '
        'else [ ! -e "$f" ] && [ -d "${f%/*}" ] && [ -w "${f%/*}" ]; fi || echo "$f"; '
        'if [ -d "$f" ]; then find -H "$f" -mindepth 1 ! -type f; fi; done'
    )
    if answer.rc != 0:
        raise ProbeError(says(en=f"{folders}: {answer.stderr.strip()}", zh=f"{folders}：{answer.stderr.strip()}"))
    return list(answer.stdout.splitlines())


def resets(lines: Iterable[Line], folders: Sequence[str]) -> list[str]:
    """Return the scheduled lines that take counts and locks back, each as FILE:NUMBER: TEXT.

    + folders: where failures are counted
    """
    tallies = "|".join(map(re.escape, ["/faillock", *folders]))
    taken_back = re.compile(
        r"\bfaillock\b.*--reset"
        rf"|\b(rm|find|unlink|shred|truncate|mv|ln|cp|tmpreaper|tmpwatch)\s[^;&#]*({tallies})|>\s*\S*({tallies})/"
    )
    return [str(line) for line in lines if taken_back.search(line.meaning)]


def parse(text: str) -> dict[str, str]:
    """Return the settings of one configuration file, a bare flag as ""; the last of a name counts."""
    found: dict[str, str] = {}
    for raw in text.splitlines():
        name, _, value = raw.split("#", 1)[0].strip().partition("=")
        words = name.split(None, 1)  # "deny 5" is read as "deny = 5"
        if words:
            found[words[0]] = value.strip() or (words[1].strip() if len(words) > 1 else "")
    return found
