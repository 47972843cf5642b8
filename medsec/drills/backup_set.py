"""The newest backup of a product as it lies on its host, before anything is restored."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from medsec.drills.engines import Engine
from medsec.errors import ProbeError
from medsec.judge.recording import ConnectedHost
from medsec.text import says

SCHEMA = "medsec.manifest/1"

_LOOK = r"""
cd -- HOME 2> /dev/null || exit 0
set=$(find . -mindepth 1 -maxdepth 1 -type d -name '2*Z' -printf '%P\n' | sort | tail -n 1)
[ -n "$set" ] || exit 0
printf 'set\t%s\n' "$set"
printf 'entry\t%s\t%s\t%s\t%s\t%s\n' d "$(stat -c %a .)" "$(stat -c %u .)" 0 .
find "$set" -printf 'entry\t%y\t%m\t%U\t%s\t%P\n'
printf 'sums\t%s\n' "$(sha256sum < "$set/SHA256SUMS" | cut -d' ' -f1)"
"""
_READ = 'cd -- SET && for f in "$@"; do printf "\\036%s\\n" "$f"; cat -- "$f"; done'


@dataclass(frozen=True)
class Entry:
    """A file or folder of the backup: type as `find -printf %y`, mode in octal digits, owner, bytes."""

    kind: str
    mode: str
    owner: int
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """What one dump was said to hold when it was made; `sha256` is None where the manifest was cut short."""

    head: dict[str, Any]
    tables: dict[str, tuple[int, str]]
    sha256: str | None
    # None where it can be read.
    problem: str | None = None


@dataclass(frozen=True)
class BackupSet:
    """One run's folder of backups."""

    folder: str
    entries: dict[str, Entry]
    record: dict[str, Any]
    # Digests of the files, as SHA256SUMS has them, and of that file itself.
    sums: dict[str, str]
    sums_sha256: str
    manifests: dict[str, Manifest]

    @property
    def name(self) -> str:
        return PurePosixPath(self.folder).name

    @property
    def bytes(self) -> int:
        return sum(entry.bytes for entry in self.entries.values())

    def dumps(self, engine: Engine) -> list[str]:
        """Return the paths of its dumps, relative to its folder."""
        return sorted(path for path in self.entries if path.endswith(engine.suffix))


def newest(host: ConnectedHost, home: str, engine: Engine) -> BackupSet | None:
    """Return the newest backup below `home`, or None where there is none.

    Raises ProbeError when the host does not tell.
    """
    said = _ask(host, _LOOK.replace("HOME", shlex.quote(home)))
    lines = [line.split("\t") for line in said.splitlines()]
    name = next((line[1] for line in lines if line[0] == "set"), None)
    if name is None:
        return None
    entries = {
        path or "..": Entry(kind, mode, int(owner), int(size))
        for _, kind, mode, owner, size, path in (line for line in lines if line[0] == "entry" and len(line) == 6)
    }
    folder = f"{home}/{name}"
    small = [path for path in entries if path in ("record.json", "SHA256SUMS") or path.endswith(".manifest")]
    texts = _texts(host, folder, small) if small else {}
    sums = [line.partition("  ") for line in texts.get("SHA256SUMS", "").splitlines()]
    return BackupSet(
        folder=folder,
        entries=entries,
        record=_object(texts.get("record.json", "")),
        sums={path: digest for digest, _, path in sums},
        sums_sha256=next((line[1] for line in lines if line[0] == "sums"), ""),
        manifests={
            path.removesuffix(".manifest"): manifest(text)
            for path, text in texts.items()
            if path.endswith(".manifest")
        },
    )


def live_systems(host: ConnectedHost, engine: Engine) -> dict[str, str]:
    """Return the identity of each server of the product that runs on the host, by its cluster.

    Raises ProbeError where none answers: a backup of another system could then not be told from this one's.
    """
    said = _ask(host, engine.identity)
    found = dict(line.split("\t", 1) for line in said.splitlines() if "\t" in line)
    if not found:
        raise ProbeError(
            says(
                en=f"{engine.product} does not tell who it is; start the server, then drill again",
                zh=f"无法确认 {engine.product} 的系统标识；请启动数据库服务后重新演练",
            )
        )
    return found


def manifest(text: str) -> Manifest:
    """Read the lines of a manifest."""
    try:
        lines = [json.loads(line) for line in text.splitlines() if line]
        head = lines[0]
        tables = {
            str(line["table"]): (int(line["rows"]), str(line["hash"])) for line in lines[1:] if "table" in line
        }
        if head["schema"] != SCHEMA:
            return Manifest(head, {}, None, f"schema {head['schema']}")
        return Manifest(head, tables, lines[-1].get("sha256"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        return Manifest({}, {}, None, f"{type(error).__name__}: {error}")


def _texts(host: ConnectedHost, folder: str, paths: list[str]) -> dict[str, str]:
    command = _READ.replace("SET", shlex.quote(folder))
    said = _ask(host, shlex.join(["sh", "-c", command, "sh", *paths]))
    parts = [part.partition("\n") for part in said.split("\x1e")[1:]]
    return {path: text for path, _, text in parts}


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _ask(host: ConnectedHost, command: str) -> str:
    answer = host.run(command)
    if answer.rc != 0:
        raise ProbeError(
            says(
                en=f"the backup cannot be looked at: {answer.stderr.strip()[-300:] or f'exit code {answer.rc}'}",
                zh=f"无法查看备份：{answer.stderr.strip()[-300:] or f'退出码 {answer.rc}'}",
            )
        )
    return str(answer.stdout)
