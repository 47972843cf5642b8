"""One number for everything that decides a verdict: controls, templates, probes and standards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FOLDERS = ("roles", "standards")


def catalogue_digest(root: Path) -> str:
    """Return the SHA-256 over the paths and bytes of the catalogue below `root` and of medsec's own probes.

    Two runs with the same digest asked the same questions.
    """
    probes = Path(__file__).resolve().parent.parent / "probes"
    digest = hashlib.sha256()
    for name, path in sorted(_files(root, probes)):
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def value_digest(value: Any) -> str:
    """Return the SHA-256 of a value as JSON, so that what may be confidential can be compared and is not kept."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _files(root: Path, probes: Path) -> Iterator[tuple[str, Path]]:
    for folder, prefix in [(root / name, name) for name in _FOLDERS] + [(probes, "probes")]:
        for path in folder.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{prefix}/{path.relative_to(folder).as_posix()}", path
