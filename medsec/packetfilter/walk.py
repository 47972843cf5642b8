"""Walking packets through the chains of a rule set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import reduce
from typing import Any

from medsec.packetfilter.conditions import Condition, Reader, limiting
from medsec.packetfilter.regions import CT_STATES, Region, Space
from medsec.packetfilter.ruleset import Chain, Expression, Rule, Ruleset
from medsec.packetfilter.spans import Spans

_DEEPEST = 16
_VERDICTS = ("accept", "drop", "reject", "queue", "jump", "goto", "return")
# Targets of iptables that leave a packet to the next rule; what another does with it nobody can say.
_PASSING = frozenset([
    "AUDIT", "CHECKSUM", "CLASSIFY", "CONNMARK", "CONNSECMARK", "CT", "DSCP", "ECN", "HL", "HMARK", "IDLETIMER", "LED",
    "LOG", "MARK", "NFLOG", "RATEEST", "SECMARK", "SET", "TCPMSS", "TCPOPTSTRIP", "TOS", "TRACE", "TTL",
])  # fmt: skip
_TRANSLATING = frozenset(["DNAT", "MASQUERADE", "NETMAP", "REDIRECT", "SNAT", "TPROXY"])


class Bound(Enum):
    """Which side a condition that is not understood counts on."""

    AT_MOST = "every packet that may be accepted"
    AT_LEAST = "only packets that an ordinary connection is sure to get accepted"


@dataclass(frozen=True)
class Accepted:
    """Packets that are let through, and by what."""

    region: Region
    reasons: tuple[str, ...]
    by_policy: bool = False
    # A condition of the rule could not be read and was taken as met.
    unread: bool = False


@dataclass
class Outcome:
    """What becomes of the packets that pass one hook."""

    accepted: list[Accepted] = field(default_factory=list)
    # Packets that a rule logs before they are decided on; with a limit on the rate, and without one.
    logged: Region = field(default_factory=Region)
    logged_unlimited: list[str] = field(default_factory=list)
    # Packets that no rule names and that are refused for that.
    refused_by_default: Region = field(default_factory=Region)


@dataclass
class _Left:
    """What is left of a walk through one chain: packets not yet decided, and packets that left it for its caller."""

    rest: Region
    returned: Region = field(default_factory=Region)


def walk(ruleset: Ruleset, space: Space, hook: str, bound: Bound) -> Outcome | None:
    """Return what becomes of new packets of `space` from other hosts at `hook` ("input" or "forward").

    A packet is let through when every filter chain of the hook lets it through. None when there is no such chain.
    """
    chains = ruleset.base_chains(hook, space.family)
    if not chains:
        return None
    states = ("new",) if bound is Bound.AT_LEAST else ("new", "invalid", "untracked")
    arriving = Region.of(
        [
            space.box(
                {
                    "iif": Spans.of([(1, len(space.interfaces) - 1)]),
                    "ct": Spans.points(*(CT_STATES[state] for state in states)),
                }
            )
        ]
    )
    outcome = Outcome()
    through = [Accepted(arriving, (), by_policy=True)]
    for chain in chains:
        walker = _Walker(ruleset, space, chain, bound)
        passed = walker.decide(arriving)
        outcome.logged |= walker.outcome.logged
        outcome.logged_unlimited += walker.outcome.logged_unlimited
        outcome.refused_by_default |= walker.outcome.refused_by_default
        through = [both for one in through for two in passed if (both := _both(one, two)).region]
    outcome.accepted = through
    return outcome


def _both(one: Accepted, two: Accepted) -> Accepted:
    # A chain that lets everything through says nothing about why a packet got in, unless all chains do.
    telling = [part for part in (one, two) if not part.by_policy] or [one, two]
    reasons = tuple(dict.fromkeys(reason for part in telling for reason in part.reasons))
    return Accepted(one.region & two.region, reasons, one.by_policy and two.by_policy, one.unread or two.unread)


class _Walker:
    """Walks packets through one base chain."""

    def __init__(self, ruleset: Ruleset, space: Space, chain: Chain, bound: Bound) -> None:
        sets = {
            name: named
            for (family, table, name), named in ruleset.sets.items()
            if (family, table) == (chain.family, chain.table)
        }
        translates = ruleset.rewritten_unseen or any(
            True for kind in ("dnat", "redirect", "snat", "masquerade") for _ in ruleset.statements(kind)
        )
        translates = translates or any(
            target(value) in _TRANSLATING | {""} for _, _, value in ruleset.statements("xt")
        )
        self._reader = Reader(space, sets, translates=translates)
        self._ruleset = ruleset
        self._chain = chain
        self._bound = bound
        self._accepted: list[Accepted] = []
        self.outcome = Outcome()

    def decide(self, packets: Region) -> list[Accepted]:
        """Return what of `packets` the chain lets through, each part with its reason."""
        rest = self._through(self._chain, packets, 0)
        if self._chain.policy == "accept":
            self._accepted.append(Accepted(rest, (f"{self._chain.label}: policy accept",), by_policy=True))
        else:
            self.outcome.refused_by_default |= rest
        return [accepted for accepted in self._accepted if accepted.region]

    def _through(self, chain: Chain, packets: Region, depth: int) -> Region:
        """Return the packets that come out of `chain` undecided."""
        left = _Left(packets)
        for rule in chain.rules:
            if not left.rest:
                break
            self._rule(chain, rule, left, depth)
        return left.rest | left.returned

    def _rule(self, chain: Chain, rule: Rule, left: _Left, depth: int) -> None:
        here = _Here(chain, rule, depth, left.rest)
        for expression in rule.expressions:
            kind, value = next(iter(expression.items()))
            if kind == "match":
                here = self._narrowed(here, self._reader.match(value))
            elif (passes := limiting(kind, value)) is not None:
                if self._bound is Bound.AT_LEAST and not passes:
                    return
                here = self._limited(here, kind)
            elif kind == "log":
                self._log(here)
            elif kind == "xt":
                if self._ended_by_iptables(value, here, expression is rule.expressions[-1], left):
                    return
                here = replace(here, certain=False, conditional=True, unread=True)
            elif kind == "synproxy":  # it opens the connection to the host by itself
                self._verdict("accept", None, here, left)
                return
            elif kind == "vmap":
                self._branches(here, value, left)
                return
            elif kind in _VERDICTS:
                self._verdict(kind, value, here, left)
                return

    def _ended_by_iptables(self, value: Any, here: _Here, last: bool, left: _Left) -> bool:
        """Return whether an extension of iptables decides on the packet; it did, then."""
        name = target(value)
        if name in ("LOG", "NFLOG"):
            self._log(here)
        if name is None or name in _PASSING or (not name and not last):
            return False
        unread = replace(here, certain=False, conditional=True, unread=True)
        self._verdict(*(("drop", None, here) if name == "REJECT" else ("queue", None, unread)), left)
        return True

    def _narrowed(self, here: _Here, condition: Condition) -> _Here:
        region, certain = condition.region, condition.certain
        if not certain and self._bound is Bound.AT_LEAST and condition.ordinary is not None:
            region, certain = (region, True) if condition.ordinary else (Region(), True)
        unread = here.unread or not condition.certain
        return replace(
            here, hit=here.hit & region, certain=here.certain and certain, conditional=True, unread=unread
        )

    def _limited(self, here: _Here, kind: str) -> _Here:
        # To be logged now and then is to be logged; to be let in now and then is to be let in.
        return replace(
            here,
            certain=here.certain and self._bound is Bound.AT_LEAST,
            conditional=here.conditional or kind != "limit",
            limited=here.limited or kind == "limit",
        )

    def _branches(self, here: _Here, value: Expression, left: _Left) -> None:
        branches = self._reader.verdicts(value)
        if branches is None:
            self._verdict("queue", None, replace(here, certain=False, conditional=True, unread=True), left)
            return
        for condition, verdict in branches:
            kind, target = next(iter(verdict.items()))
            branch = self._narrowed(replace(here, hit=here.hit & left.rest), condition)
            self._verdict(kind, target, branch, left)

    def _verdict(self, kind: str, value: Any, here: _Here, left: _Left) -> None:
        if kind in ("jump", "goto"):
            self._jump(kind, value, here, left)
            return
        at_most = self._bound is Bound.AT_MOST
        decided = left.rest - here.hit if here.certain or not at_most else left.rest
        if kind == "accept":
            if here.certain or at_most:
                self._accepted.append(Accepted(here.hit, (here.label,), unread=here.unread))
                left.rest = decided
        elif kind == "queue":  # a program decides, or nobody knows who does
            if at_most:
                self._accepted.append(Accepted(here.hit, (here.label,), unread=True))
            left.rest = decided
        elif kind in ("drop", "reject"):
            if not here.conditional:
                self.outcome.refused_by_default |= here.hit
            left.rest = decided
        elif kind == "return":
            if here.certain or at_most:
                left.returned |= here.hit
            left.rest = decided

    def _jump(self, kind: str, value: Any, here: _Here, left: _Left) -> None:
        target = self._ruleset.chains.get((here.chain.family, here.chain.table, value["target"]))
        if target is None or here.depth >= _DEEPEST:
            self._verdict("queue", None, here, left)
            return
        before = len(self._accepted)
        back = self._through(target, here.hit, here.depth + 1)
        if not here.certain and self._bound is Bound.AT_LEAST:
            # Nobody can say whether a packet takes the jump: what the target refuses may be refused.
            inside = _union(part.region for part in self._accepted[before:])
            del self._accepted[before:]
            left.rest -= here.hit - back - inside
            return
        if here.certain:
            left.rest -= here.hit
        if kind == "goto":
            left.returned |= back
        else:
            left.rest |= back

    def _log(self, here: _Here) -> None:
        self.outcome.logged |= here.hit
        if not here.limited:
            self.outcome.logged_unlimited.append(here.label)


@dataclass(frozen=True)
class _Here:
    """The rule at which a walk stands, and the packets that satisfy what was read of it so far."""

    chain: Chain
    rule: Rule
    depth: int
    hit: Region
    certain: bool = True
    conditional: bool = False
    limited: bool = False
    unread: bool = False

    @property
    def label(self) -> str:
        comment = f' "{self.rule.comment}"' if self.rule.comment else ""
        return f"{self.chain.label}, rule {self.rule.handle}{comment}"


def target(value: Any) -> str | None:
    """Return the name of an iptables target, None for a match of iptables, and nothing where nft does not say which."""
    if not isinstance(value, dict):
        return ""
    return str(value.get("name", "")) if value.get("type") == "target" else None


def _union(regions: Iterable[Region]) -> Region:
    return reduce(lambda one, two: one | two, regions, Region())
