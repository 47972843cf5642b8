"""The flows that the ledger registers, and how they differ from what a rule set lets in."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from medsec.packetfilter.regions import CT_STATES, DIMENSIONS, Box, Dimension, Family, Region, Space
from medsec.packetfilter.ruleset import Ruleset
from medsec.packetfilter.spans import Spans
from medsec.packetfilter.walk import Accepted, Bound, Outcome, walk
from medsec.text import Text, says

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

_NUMBERS = {"tcp": 6, "udp": 17}
_NAMES = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
# ICMP, IGMP and ICMPv6: what IP itself needs, answered by the kernel and by no service.
_CONTROL_MESSAGES = Spans.points(1, 2, 58)
_PROTOCOL_WORDS = {"ip": "IPv4", "ip6": "IPv6"}
# Ports that clients call from; a rule that asks for one of these still lets ordinary clients in.
_CLIENT_PORTS = Spans.of([(32768, 60999)])


@dataclass(frozen=True)
class Flow:
    """One registered kind of connection: who may open it, to which port, and behind a gateway to whom."""

    protocol: str
    port: int
    sources: Networks
    destinations: Networks | None = None


@dataclass(frozen=True)
class Registered:
    """All registered flows of a host: to itself, and through it."""

    inward: tuple[Flow, ...]
    through: tuple[Flow, ...]
    # Not asked for, and kept open all the same: the administrators' way in.
    management: tuple[Flow, ...]

    @property
    def allowed_in(self) -> tuple[Flow, ...]:
        return (*self.inward, *self.management)


def registered(
    *,
    listens: Iterable[Mapping[str, Any]],
    forwards: Iterable[Mapping[str, Any]],
    address_sets: Mapping[str, Sequence[str]],
    management_set: str,
    management_ports: Iterable[int],
) -> Registered:
    """Return the flows that ledger entries register; the management addresses always reach the management ports.

    Ansible alone hands the ledger on as it is written, where `protocol` may be left out.
    """
    management = [Flow("tcp", port, _networks([management_set], address_sets)) for port in management_ports]
    inward = []
    for entry in listens:
        sources = [name for name in entry["sources"] if name != "local"]
        if sources:
            inward.append(Flow(_protocol(entry), entry["port"], _networks(sources, address_sets)))
    through = [
        Flow(
            _protocol(entry),
            entry["port"],
            _networks(entry["sources"], address_sets),
            _networks(entry["destinations"], address_sets),
        )
        for entry in forwards
    ]
    return Registered(tuple(inward), tuple(through), tuple(management))


def _protocol(entry: Mapping[str, Any]) -> str:
    return str(entry.get("protocol", "tcp"))


def _networks(names: Iterable[str], address_sets: Mapping[str, Sequence[str]]) -> Networks:
    return tuple(ipaddress.ip_network(text) for name in names for text in address_sets[name])


def differences(ruleset: Ruleset, wanted: Registered, interfaces: Sequence[str]) -> list[Text]:
    """Return how `ruleset` differs from letting in the registered flows, loopback, replies and ICMP, and nothing else.

    `interfaces` are the names of the host's interfaces, loopback first.
    """
    found: list[Text] = list(_rewriting(ruleset))
    families: tuple[Family, Family] = ("ip", "ip6")
    for family in families:
        space = Space(family, _interfaces(ruleset, interfaces))
        found += _of_hook(ruleset, space, "input", allowed=wanted.allowed_in, asked=wanted.inward)
        found += _of_hook(ruleset, space, "forward", allowed=wanted.through, asked=wanted.through)
    return found


def _interfaces(ruleset: Ruleset, interfaces: Sequence[str]) -> tuple[str, ...]:
    """Return the names that packets can arrive by: the host's, those that rules name, and one that nobody names."""
    named: set[str] = set()
    for _, _, match in ruleset.statements("match"):
        named |= set(_interface_names(match["left"], match["right"]))
    for _, _, branch in ruleset.statements("vmap"):
        data = branch["data"]
        for key, _ in data["set"] if isinstance(data, dict) else []:
            named |= set(_interface_names(branch["key"], key))
    for stored in ruleset.sets.values():
        named |= {name for element in stored.elements for name in _strings(element)}
    named -= {"lo"}
    return ("lo", *sorted(named | set(interfaces) - {"lo"}), "another interface")


def _interface_names(left: Any, right: Any) -> Iterator[str]:
    if isinstance(left, dict) and left.get("meta", {}).get("key") in ("iif", "iifname", "oif", "oifname"):
        yield from _strings(right)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)


def _rewriting(ruleset: Ruleset) -> Iterator[Text]:
    """Yield rules that change a packet before it is judged, or lead it past the chains: no reading of the rules holds then."""
    for chain, rule, statement in ruleset.statements("mangle"):
        payload = statement["key"].get("payload", {}) if isinstance(statement["key"], dict) else {}
        if payload.get("field") in ("saddr", "daddr", "sport", "dport") or "base" in payload:
            yield says(
                en=f"{chain.label}, rule {rule.handle} rewrites packets before they are judged; remove it",
                zh=f"{chain.label} 第 {rule.handle} 号规则会在过滤前改写报文，应删除",
            )
    for kind in ("snat", "masquerade"):
        for chain, rule, _ in ruleset.statements(kind):
            if chain.hook == "input":
                yield says(
                    en=f"{chain.label}, rule {rule.handle} gives incoming packets another source; remove it",
                    zh=f"{chain.label} 第 {rule.handle} 号规则会改写入站报文的源地址，应删除",
                )
    for kind in ("fwd", "ct expectation"):
        for chain, rule, _ in ruleset.statements(kind):
            yield says(
                en=f"{chain.label}, rule {rule.handle} ({kind}) lets packets past the filter; remove it",
                zh=f"{chain.label} 第 {rule.handle} 号规则（{kind}）使报文绕过过滤，应删除",
            )


def _of_hook(
    ruleset: Ruleset, space: Space, hook: str, *, allowed: Sequence[Flow], asked: Sequence[Flow]
) -> Iterator[Text]:
    words = _PROTOCOL_WORDS[space.family]
    at_most = walk(ruleset, space, hook, Bound.AT_MOST)
    if at_most is None:
        incoming = hook == "input"
        asleep = ", ".join(ruleset.asleep)
        dormant = (f" (dormant: table {asleep})", f"（休眠的表：{asleep}）") if asleep else ("", "")
        yield says(
            en=f"{'incoming' if incoming else 'forwarded'} {words} packets are not filtered: no filter chain at hook {hook}{dormant[0]}",
            zh=f"未对{'入站' if incoming else '转发'} {words} 流量进行过滤：{hook} 挂载点没有过滤链{dormant[1]}",
        )
        return
    within = _region(space, allowed)
    for accepted in at_most.accepted:
        excess = accepted.region - within
        if excess:
            yield _too_much(space, hook, accepted, excess)
    yield from _missing(ruleset, space, hook, asked)
    if hook == "input":
        yield from _logging(space, at_most)


def _region(space: Space, flows: Iterable[Flow]) -> Region:
    """Return the packets that may pass: those of `flows` and control messages."""
    boxes = [space.box({"proto": _CONTROL_MESSAGES})]
    return Region.of(boxes + [space.box(limits) for flow in flows for limits in _limits(space, flow)])


def _limits(space: Space, flow: Flow) -> Iterator[dict[Dimension, Spans]]:
    for source in _of_family(space.family, flow.sources):
        limits: dict[Dimension, Spans] = {
            "proto": Spans.points(_NUMBERS[flow.protocol]),
            "dport": Spans.points(flow.port),
            "saddr": source,
        }
        if flow.destinations is None:
            yield limits
        else:
            for destination in _of_family(space.family, flow.destinations):
                yield {**limits, "daddr": destination}


def _of_family(family: Family, networks: Networks) -> list[Spans]:
    version = 4 if family == "ip" else 6
    spans = [
        Spans.of([(int(network.network_address), int(network.broadcast_address))])
        for network in networks
        if network.version == version
    ]
    return [reduce(lambda one, two: one | two, spans)] if spans else []


def _too_much(space: Space, hook: str, accepted: Accepted, excess: Region) -> Text:
    place = "; ".join(accepted.reasons)
    if accepted.by_policy:
        return says(
            en=f"{_PROTOCOL_WORDS[space.family]} packets that no rule names are let "
            f"{'in' if hook == 'input' else 'through'}: {place}",
            zh=f"未被规则明确允许的 {_PROTOCOL_WORDS[space.family]} 流量默认放行（{place}）",
        )
    # Which ports are too much, and from where these are let in: "any address", though some of it is registered.
    ports = space.box({"proto": _side(excess, "proto"), "dport": _side(excess, "dport")})
    what_en, what_zh = _described(space, accepted.region & Region.of([ports]))
    way_en, way_zh = ("in", "入站") if hook == "input" else ("through", "转发")
    if accepted.unread:
        return says(
            en=f"{what_en} may be let {way_en}, which the ledger does not register: a condition cannot be read ({place})",
            zh=f"可能放行台账未登记的{way_zh}流量：来自 {what_zh}；规则中有无法识别的条件（{place}）",
        )
    return says(
        en=f"{what_en} is let {way_en}, which the ledger does not register ({place})",
        zh=f"放行了台账未登记的{way_zh}流量：来自 {what_zh}（{place}）",
    )


def _described(space: Space, packets: Region) -> tuple[str, str]:
    """Return what `packets` are in words, English and Chinese; each dimension by itself."""
    sides: dict[Dimension, Spans] = {name: _side(packets, name) for name in DIMENSIONS}
    protocols, ports = sides["proto"], sides["dport"]
    # Control messages may pass and are never in excess: without them it is still "every protocol".
    everything = protocols | _CONTROL_MESSAGES == space.all_of("proto")
    if everything:
        what_en, what_zh = "every protocol", "所有协议"
    else:
        what_en = what_zh = "/".join(_NAMES.get(number, f"protocol {number}") for number in _first(protocols))
    if ports != space.all_of("dport"):
        shown = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ports.parts[:3])
        more = " ..." if len(ports.parts) > 3 else ""
        what_en, what_zh = f"{what_en} port {shown}{more}", f"{what_zh} 端口 {shown}{more}"
    from_en, from_zh = _place(space, sides["saddr"])
    text_en, text_zh = f"{what_en} from {from_en}", f"{from_zh} 的 {what_zh}"
    if sides["daddr"] != space.all_of("daddr"):
        to_en, to_zh = _place(space, sides["daddr"])
        text_en, text_zh = f"{text_en} to {to_en}", f"{text_zh}（目的地址 {to_zh}）"
    return text_en, text_zh


def _side(packets: Region, dimension: Dimension) -> Spans:
    return reduce(lambda one, two: one | two, (box.side(dimension) for box in packets.boxes))


def _first(span: Spans) -> Iterator[int]:
    for low, high in span.parts[:3]:
        yield from range(low, min(high, low + 1) + 1)


def _place(space: Space, addresses: Spans) -> tuple[str, str]:
    words = _PROTOCOL_WORDS[space.family]
    if addresses == space.all_of("saddr"):
        return f"any {words} address", f"任意 {words} 地址"
    low, high = addresses.parts[0]
    bits = space.all_of("saddr").parts[0][1].bit_length()
    size = high - low + 1
    kind = ipaddress.IPv4Address if space.family == "ip" else ipaddress.IPv6Address
    if size == 1:
        text = str(kind(low))
    elif size & (size - 1) == 0 and low % size == 0:
        text = f"{kind(low)}/{bits - size.bit_length() + 1}"
    else:
        text = f"{kind(low)}-{kind(high)}"
    more = len(addresses.parts) > 1
    return (f"{text} and others", f"{text} 等") if more else (text, text)


def _missing(ruleset: Ruleset, space: Space, hook: str, flows: Sequence[Flow]) -> Iterator[Text]:
    at_least = walk(ruleset, space, hook, Bound.AT_LEAST)
    let_in = Region.of(
        _wherever(space, hook, box)
        for accepted in (at_least.accepted if at_least else [])
        for box in accepted.region.boxes
    )
    for flow in flows:
        for limits in _limits(space, flow):
            asked = space.box({**limits, "sport": _CLIENT_PORTS, "ct": Spans.points(CT_STATES["new"])})
            left = Region.of([asked]) - let_in
            if left:
                what_en, what_zh = _described(space, left)
                yield says(
                    en=f"{what_en} is registered in the ledger and is not let {'in' if hook == 'input' else 'through'}",
                    zh=f"台账已登记的流量未放行：来自 {what_zh}",
                )


def _wherever(space: Space, hook: str, box: Box) -> Box:
    """Return `box` for any interface and any address of the host itself: to be let in by one of them is enough."""
    free: tuple[Dimension, ...] = ("iif", "oif", "daddr") if hook == "input" else ("iif", "oif")
    sides = [
        space.all_of(name) if name in free else side for name, side in zip(DIMENSIONS, box.sides, strict=True)
    ]
    return Box(tuple(sides))


def _logging(space: Space, outcome: Outcome) -> Iterator[Text]:
    """Yield what is wrong with the record of refused packets."""
    words = _PROTOCOL_WORDS[space.family]
    asked = Region.of([space.box({"proto": Spans.points(6, 17), "ct": Spans.points(CT_STATES["new"])})])
    if (outcome.refused_by_default & asked) - outcome.logged:
        yield says(
            en=f"refused {words} packets leave no record: no log rule before the default refusal",
            zh=f"被拒绝的 {words} 流量没有记录：默认拒绝之前缺少日志规则",
        )
    for place in dict.fromkeys(outcome.logged_unlimited):
        yield says(
            en=f"refused packets are logged without a limit on the rate, which can fill the disk: {place}",
            zh=f"拒绝日志未限速，可能写满磁盘：{place}",
        )
