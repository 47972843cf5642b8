"""Text in columns for a terminal, with the room that Chinese characters take."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def width(text: str) -> int:
    """Return the columns that `text` takes: two for a wide character, none for a combining one."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def clip(text: str, columns: int) -> str:
    """Return `text` cut to `columns`, the cut marked by three dots."""
    if width(text) <= columns:
        return text
    kept, used = "", 0
    for character in text:
        used += width(character)
        if used > columns - 3:
            break
        kept += character
    return kept.rstrip() + "..."


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return `rows` below `heads`, columns aligned; the last column is left as long as it is."""
    return "\n".join(aligned([heads, *rows]))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return one line for each of `rows`, its cells padded to their columns and two spaces apart."""
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell + " " * (room - width(cell)) for cell, room in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
