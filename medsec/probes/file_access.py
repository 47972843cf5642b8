"""Who may read and write a file: owner, group, mode, access list, and the folders above it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import says

_FIELDS = 7


@dataclass(frozen=True)
class Access:
    """One file or folder as `stat` and `ls` see it; a symbolic link is not followed."""

    path: str
    mode: int
    uid: int
    user: str
    group: str
    kind: str
    access_list: bool


def accesses(host: Host, patterns: Iterable[str]) -> dict[str, list[Access]]:
    """Return what each pattern (a path with the shell's wildcards) matches, asked in one command.

    Raises ProbeError for a pattern with other characters than a path's, or when `stat` does not answer.
    """
    patterns = list(dict.fromkeys(patterns))
    for pattern in patterns:
        if not re.fullmatch(r"/[\w./*?\[\]@%+:,-]*", pattern):
            raise ProbeError(
                says(en=f"not a path with wildcards: {pattern!r}", zh=f"不是有效的路径（可含通配符）：{pattern!r}")
            )
    script = (
        'export LC_ALL=C; look() { printf \'pattern\\t%s\\n\' "$1"; shift; for f in "$@"; do '
        '[ -e "$f" ] || [ -L "$f" ] || continue; '
        # Such a name would be read as another line.
        'case $f in *[[:cntrl:]]*) echo "a control character is in the name of $(ls -bd -- "$f"); rename it" >&2; exit 1;; esac; '
        "stat --printf='%a\\t%u\\t%U\\t%G\\t%F\\t' -- \"$f\"; "
        'printf \'%s\\t%s\\n\' "$(ls -ld -- "$f" | cut -c 11)" "$f"; done; }; '
        + "; ".join(f"look {shlex.quote(pattern)} {pattern}" for pattern in patterns)
    )
    answer = host.run(script)
    if answer.rc != 0:
        raise ProbeError(
            says(en=f"stat failed: {answer.stderr.strip()}", zh=f"stat 执行失败：{answer.stderr.strip()}")
        )
    return parse_accesses(answer.stdout)


def parse_accesses(output: str) -> dict[str, list[Access]]:
    """Return the files by pattern, from lines of `pattern<tab>PATTERN` each followed by its files."""
    found: dict[str, list[Access]] = {}
    current: list[Access] = []
    for line in output.splitlines():
        if line.startswith("pattern\t"):
            current = found.setdefault(line.split("\t", 1)[1], [])
            continue
        parts = line.split("\t", _FIELDS - 1)
        if len(parts) != _FIELDS:
            raise ProbeError(says(en=f"stat answered {line!r}", zh=f"stat 返回内容无法解析：{line!r}"))
        mode, uid, user, group, kind, mark, path = parts
        current.append(Access(path, int(mode, 8), int(uid), user, group, kind, mark == "+"))
    return found


def folders_above(paths: Iterable[str]) -> list[str]:
    """Return every folder on the way to `paths`, the root first."""
    found: dict[str, None] = {"/": None}
    for path in paths:
        parts = path.strip("/").split("/")[:-1]
        for length in range(1, len(parts) + 1):
            found["/" + "/".join(parts[:length])] = None
    return list(found)


def homes(host: Host) -> dict[str, str]:
    """Return the home directory of each account that `getent passwd` knows, by account."""
    answer = host.run("getent passwd")
    accounts = [line.split(":") for line in answer.stdout.splitlines() if line.count(":") >= 6]
    if answer.rc != 0 or not accounts:
        raise ProbeError(
            says(
                en=f"getent passwd failed: {answer.stderr.strip()}",
                zh=f"getent passwd 失败：{answer.stderr.strip()}",
            )
        )
    return {fields[0]: fields[5] for fields in accounts}


def readers_by_group(host: Host, group: str) -> list[str]:
    """Return the accounts that belong to `group`, by membership or as their primary group."""
    answer = host.run("getent group %s; echo =; getent passwd", group)
    listed, _, accounts = answer.stdout.partition("=\n")
    if not listed.strip():
        return []
    _, _, gid, members = listed.strip().split(":", 3)
    primary = [line.split(":")[0] for line in accounts.splitlines() if line.split(":")[3] == gid]
    return sorted({*filter(None, members.split(",")), *primary})
