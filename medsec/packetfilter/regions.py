"""Sets of packets of one address family, as unions of boxes in the dimensions that rules speak of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Literal

from medsec.packetfilter.spans import Spans

Family = Literal["ip", "ip6"]
Dimension = Literal["iif", "oif", "saddr", "daddr", "proto", "sport", "dport", "ct"]

DIMENSIONS: tuple[Dimension, ...] = ("iif", "oif", "saddr", "daddr", "proto", "sport", "dport", "ct")
# Most boxes of a long rule set differ in port or address: these are looked at first.
_TELLING = (6, 2, 3, 4, 0, 1, 5, 7)
CT_STATES = {"new": 0, "established": 1, "related": 2, "invalid": 3, "untracked": 4}
_BITS = {"ip": 32, "ip6": 128}


@dataclass(frozen=True)
class Space:
    """All packets of one family on a host that knows the interfaces `interfaces` (the first is loopback)."""

    family: Family
    interfaces: tuple[str, ...]

    def all_of(self, dimension: Dimension) -> Spans:
        """Return every value of `dimension`."""
        highest = {
            "iif": len(self.interfaces) - 1,
            "oif": len(self.interfaces) - 1,
            "saddr": 2 ** _BITS[self.family] - 1,
            "daddr": 2 ** _BITS[self.family] - 1,
            "proto": 255,
            "sport": 65535,
            "dport": 65535,
            "ct": len(CT_STATES) - 1,
        }[dimension]
        return Spans(((0, highest),))

    def box(self, limits: Mapping[Dimension, Spans] | None = None) -> Box:
        """Return the packets within `limits`; a dimension that is not named is not limited."""
        limits = limits or {}
        return Box(tuple(limits.get(name, self.all_of(name)) for name in DIMENSIONS))


@dataclass(frozen=True)
class Box:
    """The packets whose value in each dimension (in the order of `DIMENSIONS`) is in the span for it."""

    sides: tuple[Spans, ...] = field(repr=True)

    def __bool__(self) -> bool:
        return all(self.sides)

    def side(self, dimension: Dimension) -> Spans:
        return self.sides[DIMENSIONS.index(dimension)]

    def with_side(self, dimension: Dimension, span: Spans) -> Box:
        at = DIMENSIONS.index(dimension)
        return Box((*self.sides[:at], span, *self.sides[at + 1 :]))

    def __and__(self, other: Box) -> Box:
        return Box(tuple(mine & theirs for mine, theirs in zip(self.sides, other.sides, strict=True)))

    def meets(self, other: Box) -> bool:
        """Return whether some packet is in both, of boxes that are not empty."""
        for at in _TELLING:
            mine, theirs = self.sides[at], other.sides[at]
            if mine is not theirs and not mine.meets(theirs):
                return False
        return True

    def minus(self, other: Box) -> list[Box]:
        """Return the packets that are not in `other`."""
        if not self.meets(other):
            return [self]
        rest: list[Box] = []
        left = self
        for at, (mine, theirs) in enumerate(zip(self.sides, other.sides, strict=True)):
            outside = mine - theirs
            if outside:
                rest.append(Box((*left.sides[:at], outside, *left.sides[at + 1 :])))
                left = Box((*left.sides[:at], mine & theirs, *left.sides[at + 1 :]))
        return rest


@dataclass(frozen=True)
class Region:
    """A set of packets."""

    boxes: tuple[Box, ...] = ()

    @classmethod
    def of(cls, boxes: Iterable[Box]) -> Region:
        return cls(tuple(box for box in boxes if box))

    def __bool__(self) -> bool:
        return bool(self.boxes)

    def __and__(self, other: Region) -> Region:
        return Region.of(mine & theirs for mine in self.boxes for theirs in other.boxes if mine.meets(theirs))

    def __or__(self, other: Region) -> Region:
        return Region(self.boxes + (other - self).boxes)

    def __sub__(self, other: Region) -> Region:
        return reduce(_without, other.boxes, self)


def _without(region: Region, box: Box) -> Region:
    return Region.of(rest for mine in region.boxes for rest in mine.minus(box))
