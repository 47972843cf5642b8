"""What a condition of a rule asks of a packet, as a region of packets."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from medsec.packetfilter.regions import CT_STATES, Box, Dimension, Region, Space
from medsec.packetfilter.ruleset import Expression, NamedSet
from medsec.packetfilter.spans import Spans

_WITH_PORTS = {"tcp": 6, "udp": 17, "dccp": 33, "sctp": 132, "udplite": 136}
_PROTOCOLS = {
    "icmp": 1, "igmp": 2, "ipencap": 4, "tcp": 6, "egp": 8, "udp": 17, "dccp": 33, "ipv6": 41, "gre": 47, "esp": 50,
    "ah": 51, "icmpv6": 58, "ipv6-icmp": 58, "ospf": 89, "pim": 103, "vrrp": 112, "l2tp": 115, "sctp": 132,
    "udplite": 136,
}  # fmt: skip
# More elements than this are not worked out one by one; the condition then counts as not understood.
_MOST_ELEMENTS = 4000


@dataclass(frozen=True)
class Condition:
    """The packets that can satisfy a condition, and whether all of them do.

    `ordinary` tells what a condition that is not about addresses and ports does with the first packet of an ordinary,
    unhurried connection: True it is satisfied, False it is not, None nobody can say.
    """

    region: Region
    certain: bool
    ordinary: bool | None = None


@dataclass(frozen=True)
class _Subject:
    """The left side of a match: the dimension it reads, and what reading it implies."""

    dimension: Dimension | None = None
    implies: Mapping[Dimension, Spans] = field(default_factory=dict)
    never: bool = False
    convert: Callable[[Any], Spans | None] = lambda _: None
    # The name of the side for the few things that are known by what an ordinary packet has there.
    word: str = ""


class Reader:
    """Reads the conditions of one table's rules for the packets of one space."""

    def __init__(self, space: Space, sets: Mapping[str, NamedSet], *, translates: bool) -> None:
        self._space = space
        self._sets = sets
        self._translates = translates

    def everything(self) -> Region:
        return Region.of([self._space.box()])

    def match(self, statement: Expression) -> Condition:
        """Return what a `match` statement asks."""
        left, right, operator = statement["left"], statement["right"], statement["op"]
        if isinstance(left, dict) and "concat" in left:
            return self._concatenation(left["concat"], right, negated=operator == "!=")
        subject = self._subject(left)
        if subject.never or (subject.word == "ct status" and not self._translates and right in ("dnat", "snat")):
            return Condition(Region(), certain=True)
        base = self._space.box(subject.implies)
        if subject.dimension is None:
            return Condition(Region.of([base]), False, _ordinary(subject.word, operator, left, right))
        spans, settled = self._values(subject, right)
        spans = None if spans is None else self._compared(subject.dimension, operator, spans)
        if spans is None:
            return Condition(Region.of([base]), certain=False)
        found = Region.of([base & self._space.box({subject.dimension: spans})])
        if settled:
            return Condition(found, certain=True)
        # What a moving set holds now is what an ordinary packet meets; what it can come to hold is anything.
        return Condition(Region.of([base]), False, None if found else False)

    def verdicts(self, statement: Expression) -> list[tuple[Condition, Expression]] | None:
        """Return the branches of a verdict map: for each key what it asks, and the verdict. None: not understood."""
        data = statement["data"]
        moving = False
        if isinstance(data, str):
            named = self._sets.get(data.lstrip("@"))
            if named is None:
                return None
            entries, moving = named.elements, named.moving
        else:
            entries = data["set"]
        if moving or len(entries) > _MOST_ELEMENTS:
            return None
        branches = []
        for key, verdict in entries:
            branches.append((self.match({"op": "==", "left": statement["key"], "right": _plain(key)}), verdict))
        return branches

    def _concatenation(self, lefts: list[Any], right: Any, *, negated: bool) -> Condition:
        subjects = [self._subject(left) for left in lefts]
        if any(subject.never for subject in subjects):
            return Condition(Region(), certain=True)
        implied = reduce(lambda box, subject: box & self._space.box(subject.implies), subjects, self._space.box())
        elements, settled = self._elements(right)
        unknown = Condition(Region.of([implied]), certain=False)
        if elements is None or not settled or len(elements) > _MOST_ELEMENTS:
            return unknown
        boxes: list[Box] = []
        for element in elements:
            parts = element.get("concat", []) if isinstance(element, dict) else []
            if len(parts) != len(subjects):
                return unknown
            box = implied
            for subject, part in zip(subjects, parts, strict=True):
                spans, known = self._values(subject, part) if subject.dimension else (None, False)
                if spans is None or subject.dimension is None or not known:
                    return unknown
                box &= self._space.box({subject.dimension: spans})
            boxes.append(box)
        found = Region.of(boxes)
        return Condition(Region.of([implied]) - found if negated else found, certain=True)

    def _values(self, subject: _Subject, right: Any) -> tuple[Spans | None, bool]:
        """Return the numbers that `right` means (None: not understood), and whether they stay what they are."""
        elements, settled = self._elements(right)
        if elements is None:
            return None, False
        spans: list[tuple[int, int]] = []
        for element in elements:
            converted = _range(element, subject.convert)
            if converted is None:
                return None, False
            spans.extend(converted.parts)
        return Spans.of(spans), settled

    def _elements(self, right: Any) -> tuple[list[Any] | None, bool]:
        if isinstance(right, str) and right.startswith("@"):
            named = self._sets.get(right[1:])
            return (None, False) if named is None else ([_plain(e) for e in named.elements], not named.moving)
        if isinstance(right, dict) and "set" in right:
            return [_plain(element) for element in right["set"]], True
        return (list(right) if isinstance(right, list) else [right]), True

    def _compared(self, dimension: Dimension, operator: str, spans: Spans) -> Spans | None:
        low, high = self._space.all_of(dimension).parts[0]
        if operator in ("==", "in"):
            return spans
        if operator == "!=":
            return spans.complement(low, high)
        if len(spans.parts) != 1 or spans.parts[0][0] != spans.parts[0][1]:
            return None
        number = spans.parts[0][0]
        return {
            "<": Spans.of([(low, number - 1)]),
            "<=": Spans.of([(low, number)]),
            ">": Spans.of([(number + 1, high)]),
            ">=": Spans.of([(number, high)]),
        }.get(operator)

    def _subject(self, left: Any) -> _Subject:
        kind, value = next(iter(left.items())) if isinstance(left, dict) and len(left) == 1 else ("", {})
        subject = _Subject()
        if kind == "meta":
            subject = self._meta(str(value.get("key", "")))
        elif kind == "payload" and "protocol" in value and "tunnel" not in value:
            subject = self._payload(value["protocol"], value["field"])
        elif kind == "ct":
            key = str(value.get("key", ""))
            subject = _Subject("ct", convert=_ct_state) if key == "state" else _Subject(word=f"ct {key}")
        elif kind == "&" and isinstance(value, list):
            inner = self._subject(value[0])
            subject = _Subject(implies=inner.implies, never=inner.never, word=inner.word)
        elif kind == "fib":
            subject = _Subject(word=f"fib {value.get('result', '')} {' '.join(value.get('flags', []))}")
        return subject

    def _meta(self, key: str) -> _Subject:
        if key in ("iif", "iifname", "oif", "oifname"):
            return _Subject("iif" if key.startswith("i") else "oif", convert=self._interface)
        if key == "l4proto":
            return _Subject("proto", convert=_protocol)
        if key in ("nfproto", "protocol"):
            return self._family_word()
        if key == "iiftype":
            return _Subject("iif", convert=self._interface_type)
        return _Subject(word=key)

    def _family_word(self) -> _Subject:
        # A constant of the space: told through a dimension that is then either all or nothing.
        mine = {"ip": ("ipv4", "ip"), "ip6": ("ipv6", "ip6")}[self._space.family]
        everything = self._space.all_of("proto")
        return _Subject("proto", convert=lambda value: everything if value in mine else Spans(()))

    def _payload(self, protocol: str, name: str) -> _Subject:
        if protocol in ("ip", "ip6"):
            return self._network_header(protocol, name)
        if protocol == "ether" and name == "type":
            return self._family_word()
        if protocol == "th" or protocol in _WITH_PORTS:
            numbers = _WITH_PORTS.values() if protocol == "th" else (_WITH_PORTS[protocol],)
            implies: dict[Dimension, Spans] = {"proto": Spans.points(*numbers)}
            if name in ("sport", "dport"):
                return _Subject("sport" if name == "sport" else "dport", implies, convert=_number)
            return _Subject(implies=implies, word=f"{protocol} {name}")
        if protocol in ("icmp", "icmpv6"):
            never = (protocol == "icmp") != (self._space.family == "ip")
            return _Subject(implies={"proto": Spans.points(_PROTOCOLS[protocol])}, never=never)
        return _Subject()

    def _network_header(self, protocol: str, name: str) -> _Subject:
        if protocol != self._space.family:
            return _Subject(never=True)
        if name in ("saddr", "daddr"):
            return _Subject("saddr" if name == "saddr" else "daddr", convert=self._addresses)
        if name in ("protocol", "nexthdr"):
            return _Subject("proto", convert=_protocol)
        return _Subject()

    def _interface(self, name: Any) -> Spans | None:
        known = self._space.interfaces
        if not isinstance(name, str):
            return None
        if name.endswith("*"):
            prefix = name[:-1]
            return Spans.points(*(at for at, other in enumerate(known) if other.rstrip("*").startswith(prefix)))
        return Spans.points(known.index(name)) if name in known else None

    def _interface_type(self, name: Any) -> Spans | None:
        return Spans.points(0) if name == "loopback" else None

    def _addresses(self, value: Any) -> Spans | None:
        try:
            network = ipaddress.ip_network(
                f"{value['addr']}/{value['len']}" if isinstance(value, dict) else value, strict=False
            )
        except (ValueError, KeyError, TypeError):
            return None
        if network.version != (4 if self._space.family == "ip" else 6):
            return None
        return Spans.of([(int(network.network_address), int(network.broadcast_address))])


def limiting(kind: str, value: Any) -> bool | None:
    """Return what a statement that limits does to the first packet of an unhurried connection.

    True lets it through to the rest of the rule, False does not, None for a statement that does not limit.
    """
    if kind in ("limit", "quota", "ct count", "connlimit"):
        return not (isinstance(value, dict) and value.get("inv"))
    if kind == "meter":
        return limiting(*next(iter(value["stmt"].items())))
    if kind in ("set", "map") and isinstance(value, dict):
        inner = value.get("stmt") or []
        found = [limiting(*next(iter(statement.items()))) for statement in inner]
        return False not in found
    return None


def _range(element: Any, convert: Callable[[Any], Spans | None]) -> Spans | None:
    if isinstance(element, dict) and "range" in element:
        ends = [convert(end) for end in element["range"]]
        if any(not end for end in ends):
            return None
        first, last = (end for end in ends if end is not None)
        return Spans.of([(first.parts[0][0], last.parts[-1][1])])
    if isinstance(element, dict) and "prefix" in element:
        return convert(element["prefix"])
    return convert(element)


def _plain(element: Any) -> Any:
    """Leave out what a set keeps beside an element: its counter, its comment, its age."""
    return element["elem"]["val"] if isinstance(element, dict) and "elem" in element else element


def _number(value: Any) -> Spans | None:
    return Spans.points(value) if isinstance(value, int) else None


def _protocol(value: Any) -> Spans | None:
    if isinstance(value, int):
        return Spans.points(value)
    if value in _PROTOCOLS:
        return Spans.points(_PROTOCOLS[value])
    try:
        return Spans.points(socket.getprotobyname(str(value)))
    except OSError:
        return None


def _ct_state(value: Any) -> Spans | None:
    return Spans.points(CT_STATES[value]) if value in CT_STATES else None


def _ordinary(word: str, operator: str, left: Any, right: Any) -> bool | None:
    """Return whether the first packet of an ordinary connection satisfies a condition that no dimension holds."""
    if word == "pkttype":
        there = "host" in (right["set"] if isinstance(right, dict) and "set" in right else [right])
        return there if operator in ("==", "in") else not there
    if word.startswith("fib type daddr"):
        there = "local" in (right["set"] if isinstance(right, dict) and "set" in right else [right])
        return there if operator in ("==", "in") else not there
    if word == "tcp flags":
        mask = left["&"][1] if "&" in left else None
        wanted = {right} if isinstance(right, str) else set(right) if isinstance(right, list) else set()
        looked_at = {mask} if isinstance(mask, str) else set(mask) if isinstance(mask, list) else None
        there = ({"syn"} if looked_at is None else {"syn"} & looked_at) == wanted
        return there if operator in ("==", "in") else not there
    return None
