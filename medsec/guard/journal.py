"""The controller's record of what a run changed: appended and on the disk before the next step begins."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medsec.errors import UsageError
from medsec.guard.session import Change
from medsec.text import says

JOURNAL = "changes.jsonl"


@dataclass(frozen=True)
class Entry:
    """What became of one step on one host.

    `state`: saved (the engine may have changed things), recorded (`changes` tells which), confirmed, reverted (taken
    back at once, `reason` says why), rolled-back.
    """

    host: str
    step: str
    state: str
    controls: list[str]
    engine: str
    changes: list[Change] = field(default_factory=list)
    reason: str = ""
    time: str = ""


class Journal:
    """The file `changes.jsonl` of a run's folder."""

    def __init__(self, path: Path) -> None:
        """Open `path`, making its folder (mode 0700) where there is none."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self._lock = threading.Lock()

    def add(self, entry: Entry) -> None:
        """Append `entry` and put it on the disk. Raises OSError, a full disk for one: the step must then not begin."""
        line = json.dumps({**asdict(entry), "time": datetime.now(UTC).isoformat()}, ensure_ascii=False) + "\n"
        with self._lock:
            handle = os.open(self.path, os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600)
            try:
                _end_cut_line(handle)
                _write_whole(handle, line.encode())
                os.fsync(handle)
            finally:
                os.close(handle)


def _end_cut_line(handle: int) -> None:
    """Close a line that a crash cut short, so that the next one stands by itself."""
    size = os.fstat(handle).st_size
    if size and os.pread(handle, 1, size - 1) != b"\n":
        os.write(handle, b"\n")


def _write_whole(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def read_journal(folder: Path) -> list[Entry]:
    """Return the entries of the run in `folder`, in the order written; a line that a crash cut short is left out.

    Raises UsageError when the run changed nothing or is none.
    """
    path = folder / JOURNAL
    if not path.is_file():
        raise UsageError(
            says(
                en=f"{folder}: this run changed nothing (no {JOURNAL}); `medsec runs list` shows those that did",
                zh=f"{folder}：该次运行未作改动（没有 {JOURNAL}）；`medsec runs list` 可列出作过改动的运行",
            )
        )
    entries = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        value = _parsed(line)
        if value is not None:
            changes = [Change(**change) for change in value.pop("changes")]
            entries.append(Entry(**value, changes=changes))
    return entries


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
