"""PAM's service files as libpam reads them: which modules stand in whose way, and what each control word does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import says

Type = Literal["auth", "account", "password", "session"]
Action = str | int  # ignore, ok, done, bad, die, reset, or the number of modules to jump over

# The words of pam.conf(5) as the brackets they stand for.
_WORDS: dict[str, dict[str, Action]] = {
    "required": {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "bad"},
    "requisite": {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "die"},
    "sufficient": {"success": "done", "new_authtok_reqd": "done", "default": "ignore"},
    "optional": {"success": "ok", "new_authtok_reqd": "ok", "default": "ignore"},
}
_LEFTOVERS = re.compile(r"(~|\.(dpkg|ucf|rpm)[-\w]*|\.bak|\.orig|\.swp)$")
_SEPARATOR = "\x1e"
_KNOWN = ("login", "passwd", "sshd", "su", "sudo")


@dataclass(frozen=True)
class Rule:
    """One line of a service file that names a module."""

    file: str
    line: int
    type: str
    control: str
    module: str
    arguments: tuple[str, ...]

    @property
    def actions(self) -> Mapping[str, Action]:
        """What follows each return value of the module; the key "default" stands for the values not named."""
        word = self.control.lower()
        if word in _WORDS:
            return _WORDS[word]
        if not word.startswith("["):
            return {"default": "bad"}  # libpam lets a line that it does not understand fail
        pairs = (pair.partition("=") for pair in word.strip("[]").split())
        return {name: int(value) if value.isdigit() else value for name, _, value in pairs}

    def option(self, name: str) -> str | None:
        """Return the value of the option `name` (the last one counts), "" for a bare word, None where it is not."""
        found = None
        for argument in self.arguments:
            key, _, value = argument.partition("=")
            if key == name:
                found = value
        return found

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Step:
    """A rule in its place: `end` is the index at which its stack or substack ends."""

    rule: Rule
    end: int


@dataclass(frozen=True)
class Services:
    """The service files of a host: name to path and text. A service without a file of its own gets `other`."""

    files: Mapping[str, tuple[str, str]]

    def names(self) -> list[str]:
        """Return the services, the best known first, then those that are there to be included (`common-auth`) last."""
        included = {name for path, text in self.files.values() for name in _included(path, text)}
        return sorted(self.files, key=lambda name: (name not in _KNOWN, name in included, name))

    def stack(self, service: str, kind: Type) -> list[Step]:
        """Return the modules that libpam calls for `service`, includes and substacks resolved.

        Raises ProbeError for an include that has no file or includes itself: libpam refuses such a service.
        """
        steps: list[Step] = []
        self._extend(steps, service if service in self.files else "other", kind, ())
        return [Step(step.rule, len(steps) if step.end < 0 else step.end) for step in steps]

    def _extend(self, steps: list[Step], name: str, kind: Type, above: tuple[str, ...]) -> None:
        if name not in self.files or name in above:
            raise ProbeError(
                says(
                    en=f"/etc/pam.d: {name!r}, included by {'/'.join(above) or '-'}, is missing or includes itself",
                    zh=f"/etc/pam.d：{'/'.join(above) or '-'} 所包含的 {name!r} 不存在或循环包含",
                )
            )
        path, text = self.files[name]
        for rule in rules(path, text):
            if rule.type not in (kind, "@include"):
                continue
            if rule.type == "@include" or rule.control in ("include", "substack"):
                start = len(steps)
                self._extend(steps, rule.module.rsplit("/", 1)[-1], kind, (*above, name))
                if rule.control == "substack":
                    steps[start:] = [Step(s.rule, len(steps) if s.end < 0 else s.end) for s in steps[start:]]
            else:
                steps.append(Step(rule, -1))


def rules(path: str, text: str) -> Iterator[Rule]:
    """Yield the rules of one service file as libpam reads them: `#` ends a line, a backslash continues one."""
    pending, first = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("#", 1)[0].strip()
        first = first if pending else number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        words = _words(pending + line)
        pending = ""
        if len(words) >= 2 and words[0].lower() == "@include":
            yield Rule(path, first, "@include", "", words[1], ())
        elif len(words) >= 3:
            module = words[2].rsplit("/", 1)[-1].removesuffix(".so")
            yield Rule(path, first, words[0].lower().removeprefix("-"), words[1], module, tuple(words[3:]))


def _words(line: str) -> list[str]:
    """Split a line into its words; brackets hold a word together."""
    return [word.replace("\\]", "]") for word in re.findall(r"\[(?:\\.|[^\]])*\]|[^\s\[]\S*", line)]


def _included(path: str, text: str) -> Iterator[str]:
    for rule in rules(path, text):
        if rule.type == "@include" or rule.control in ("include", "substack"):
            yield rule.module.rsplit("/", 1)[-1]


# Debian's libpam looks into /usr/lib/pam.d for a service that /etc/pam.d does not have, others into /usr/share.
_READ = (
    "export LC_ALL=C; for d in /etc/pam.d /usr/lib/pam.d /usr/share/pam.d; do for f in $d/*; do "
    r"""if [ -f "$f" ]; then printf '\036%s\n' "$f"; tr -d '\200-\377\036' < "$f" || exit 9; echo; fi; done; done"""
)


def services(host: Host) -> Services:
    """Return the host's PAM service files. Raises ProbeError when there are none or one cannot be read."""
    answer = host.run(_READ)
    if answer.rc != 0:
        raise ProbeError(
            says(
                en=f"the PAM service files cannot be read: {answer.stderr.strip() or f'exit {answer.rc}'}",
                zh=f"无法读取 PAM 服务文件：{answer.stderr.strip() or f'退出码 {answer.rc}'}",
            )
        )
    found = parse_services(answer.stdout)
    if not found.files:
        raise ProbeError(says(en="/etc/pam.d holds no service file", zh="/etc/pam.d 中没有任何服务文件"))
    return found


def parse_services(output: str) -> Services:
    """Return the service files that `services` printed: path lines that begin with a record separator, then text."""
    files: dict[str, tuple[str, str]] = {}
    for part in output.split(_SEPARATOR)[1:]:
        path, _, text = part.partition("\n")
        name = path.rsplit("/", 1)[-1]
        if not _LEFTOVERS.search(name):
            files.setdefault(name, (path, text))
    return Services(files)
