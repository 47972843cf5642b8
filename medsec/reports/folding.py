"""Naming many hosts in few words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from medsec.text import Language


def fold(names: Iterable[str]) -> list[str]:
    """Return `names`, in order, with runs of numbers folded: `zd-001 zd-002 zd-003` becomes `zd-[001-003]`."""
    groups: dict[tuple[str, int], list[int]] = {}
    order: list[tuple[str, int] | str] = []
    for name in dict.fromkeys(names):
        found = re.fullmatch(r"(.*?)(\d{1,9})", name)
        if found is None:
            order.append(name)
            continue
        # Names of one width only: zd-9 and zd-010 are not neighbours in writing.
        key = (found[1], len(found[2]) if found[2].startswith("0") else 0)
        if key not in groups:
            groups[key] = []
            order.append(key)
        groups[key].append(int(found[2]))
    folded: list[str] = []
    for entry in order:
        folded += [entry] if isinstance(entry, str) else _ranges(*entry, groups[entry])
    return folded


def _ranges(prefix: str, width: int, numbers: list[int]) -> list[str]:
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return [
        f"{prefix}{first:0{width}d}" if first == last else f"{prefix}[{first:0{width}d}-{last:0{width}d}]"
        for first, last in spans
    ]


def named(names: Iterable[str], language: Language, *, most: int) -> str:
    """Return the names folded and joined, `most` of them at the most, then how many hosts there are in all."""
    every = list(dict.fromkeys(names))
    folded = fold(every)
    comma = "、" if language == "zh" else ", "
    if len(folded) <= most:
        return comma.join(folded)
    shown = comma.join(folded[:most])
    return f"{shown} 等 {len(every)} 台" if language == "zh" else f"{shown} and others, {len(every)} hosts in all"
