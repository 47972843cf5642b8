"""A file's exact content, owner and mode, checked by its own program before it is put in place."""

from __future__ import annotations

import base64
import difflib
import hashlib
import shlex
from collections.abc import Generator
from dataclasses import dataclass

from pyinfra import host, logger, state
from pyinfra.api import FactBase, OperationValueError, StringCommand, operation
from pyinfra.api.exceptions import FactProcessError


@dataclass(frozen=True)
class Found:
    """What stands at a path: its kind in the words of `stat`; of a regular file also its digest and content."""

    kind: str
    mode: int
    user: str
    group: str
    digest: str | None
    content: bytes | None


class FileFound(FactBase[Found | None]):
    """What stands at `path` (a link is not followed); None when nothing does. One command, one round trip."""

    def command(self, path: str, with_content: bool = False) -> str:
        place = shlex.quote(path)
        content = f"; base64 -w0 < {place}; echo" if with_content else ""
        return (
            f"export LC_ALL=C; if [ -e {place} ] || [ -L {place} ]; then"
            f" stat -c '%F|%a|%U|%G' -- {place} || exit 1;"
            f" if [ -f {place} ] && [ ! -L {place} ]; then sha256sum < {place} || exit 1{content}; fi;"
            " else echo absent; fi"
        )

    def process(self, output: list[str]) -> Found | None:
        if output == ["absent"]:
            return None
        fields = output[0].split("|")
        if len(fields) != 4:
            raise FactProcessError(f"stat answered {output[0]!r}")
        kind, mode, user, group = fields
        digest = output[1].split()[0] if len(output) > 1 else None
        content = base64.b64decode(output[2]) if len(output) > 2 else None
        return Found(kind, int(mode, 8), user, group, digest, content)


@operation()
def content(
    *,
    dest: str,
    content: str,
    mode: str = "0644",
    user: str = "root",
    group: str = "root",
    validate: str | None = None,
) -> Generator[StringCommand]:
    """Make `dest` a regular file with exactly `content`.

    + dest: absolute path; its folder must exist
    + content: the text, written as UTF-8
    + mode: octal digits, as in "0644"
    + validate: a command with `%s` for the new file's path; when it fails, `dest` keeps its old content
    """
    wanted = content.encode()
    bits = _octal(mode)
    found = host.get_fact(FileFound, path=dest, with_content=bool(state.config.DIFF))
    if found is not None and found.kind == "directory":
        raise OperationValueError(f"{dest} is a directory, a file is wanted; move it away by hand")
    # A link is replaced, as Ansible does: what it points to belongs to somebody else.
    if found is None or found.digest != hashlib.sha256(wanted).hexdigest():
        _show(dest, found, content)
        yield _install(dest, wanted, bits=bits, owner=f"{user}:{group}", validate=validate)
        return
    if found.mode != bits:
        logger.info("%s: mode %04o -> %04o", dest, found.mode, bits)
        yield StringCommand(f"chmod {bits:04o} -- {shlex.quote(dest)}")
    if (found.user, found.group) != (user, group):
        logger.info("%s: owner %s:%s -> %s:%s", dest, found.user, found.group, user, group)
        yield StringCommand(f"chown -h -- {shlex.quote(f'{user}:{group}')} {shlex.quote(dest)}")


def _install(dest: str, wanted: bytes, *, bits: int, owner: str, validate: str | None) -> StringCommand:
    # The content travels on stdin: not on the command line, where every user could read it, and not through a
    # file of the login user, who could swap it before root reads it. It is staged beside its destination, so that
    # the last step is one rename; the stage's name begins with a dot, so that no `*.conf` include takes it.
    folder = shlex.quote(dest.rsplit("/", 1)[0] or "/")
    steps = [
        "set -e",
        "umask 077",
        f"stage=$(mktemp {folder}/.medsec.XXXXXXXX)",
        """trap 'rm -f -- "$stage"' EXIT""",
        'base64 -d > "$stage"',
        f'chown -- {shlex.quote(owner)} "$stage"',
        f'chmod {bits:04o} -- "$stage"',
    ]
    if validate:
        steps.append(validate.replace("%s", '"$stage"') + " >&2")
    steps += [
        'if command -v restorecon > /dev/null; then restorecon "$stage"; fi',
        f'mv -fT -- "$stage" {shlex.quote(dest)}',
    ]
    return StringCommand("; ".join(steps), _stdin=base64.b64encode(wanted).decode("ascii"))


def _octal(mode: str) -> int:
    try:
        bits = int(mode, 8)
    except (TypeError, ValueError):
        bits = -1
    if not 0 <= bits <= 0o7777:
        raise OperationValueError(f'mode must be octal digits in quotes such as "0644", got {mode!r}')
    return bits


def _show(dest: str, found: Found | None, wanted: str) -> None:
    """Log the difference, where pyinfra was asked for differences."""
    if not state.config.DIFF:
        return
    old = "" if found is None or found.content is None else found.content.decode("utf-8", "replace")
    before = "/dev/null" if found is None else dest
    for line in difflib.unified_diff(old.splitlines(), wanted.splitlines(), before, dest, lineterm=""):
        logger.info("%s", line)
