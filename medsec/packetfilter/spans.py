"""Sets of numbers as sorted, disjoint, closed intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Spans:
    """A set of whole numbers: `parts` are closed intervals, sorted, with a gap between each two."""

    parts: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, parts: Iterable[tuple[int, int]]) -> Spans:
        """Return the union of the closed intervals `parts`, given in any order."""
        merged: list[tuple[int, int]] = []
        for low, high in sorted(part for part in parts if part[0] <= part[1]):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        return cls(tuple(merged))

    @classmethod
    def points(cls, *numbers: int) -> Spans:
        return cls.of((number, number) for number in numbers)

    def __bool__(self) -> bool:
        return bool(self.parts)

    def __contains__(self, number: int) -> bool:
        return any(low <= number <= high for low, high in self.parts)

    def meets(self, other: Spans) -> bool:
        """Return whether some number is in both sets."""
        if self is other or self.parts == other.parts:
            return bool(self.parts)
        if not self.parts or not other.parts:
            return False
        if self.parts[0][0] > other.parts[-1][1] or other.parts[0][0] > self.parts[-1][1]:
            return False
        return len(self.parts) == len(other.parts) == 1 or bool(self & other)

    def __and__(self, other: Spans) -> Spans:
        if self is other:
            return self
        found: list[tuple[int, int]] = []
        mine, theirs = 0, 0
        while mine < len(self.parts) and theirs < len(other.parts):
            low = max(self.parts[mine][0], other.parts[theirs][0])
            high = min(self.parts[mine][1], other.parts[theirs][1])
            if low <= high:
                found.append((low, high))
            if self.parts[mine][1] < other.parts[theirs][1]:
                mine += 1
            else:
                theirs += 1
        return Spans(tuple(found))

    def __or__(self, other: Spans) -> Spans:
        return Spans.of((*self.parts, *other.parts))

    def __sub__(self, other: Spans) -> Spans:
        if not self.meets(other):
            return self
        return self & other.complement(self.parts[0][0], self.parts[-1][1])

    def complement(self, low: int, high: int) -> Spans:
        """Return the numbers from `low` to `high` that are not in this set."""
        gaps: list[tuple[int, int]] = []
        start = low
        for first, last in self.parts:
            if first > high:
                break
            gaps.append((start, min(first - 1, high)))
            start = max(start, last + 1)
        gaps.append((start, high))
        return Spans.of(gaps)
