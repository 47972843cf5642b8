"""Tables for a terminal, with the width that Chinese characters take."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def width(text: str) -> int:
    """Return the columns that `text` takes: two for a wide character, none for a combining one."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return `rows` below `heads`, columns aligned; the last column is left as long as it is."""
    lines = [list(heads), *map(list, rows)]
    widths = [max(width(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell + " " * (columns - width(cell)) for cell, columns in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )
