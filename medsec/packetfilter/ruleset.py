"""The tables, chains, sets and rules of an nftables rule set, as `nft -j list ruleset` shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from medsec.errors import ProbeError
from medsec.packetfilter.regions import Family
from medsec.text import says

Expression = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """One rule: what it is made of, and how it is told apart."""

    expressions: tuple[Expression, ...]
    handle: int
    comment: str = ""


@dataclass(frozen=True)
class Chain:
    """One chain; `hook` is empty for a chain that is only jumped to."""

    family: str
    table: str
    name: str
    type: str = ""
    hook: str = ""
    policy: str = "accept"
    rules: list[Rule] = field(default_factory=list)

    @property
    def label(self) -> str:
        return f"table {self.family} {self.table}, chain {self.name}"


@dataclass(frozen=True)
class NamedSet:
    """One named set or map; `moving` when packets or the clock change what is in it."""

    elements: tuple[Any, ...]
    moving: bool


@dataclass(frozen=True)
class Ruleset:
    """Everything that `nft -j list ruleset` shows."""

    chains: dict[tuple[str, str, str], Chain]
    sets: dict[tuple[str, str, str], NamedSet]
    # Dormant tables: listed like all others, and the kernel asks none of their chains.
    asleep: tuple[str, ...] = ()
    # The older interface of the kernel rewrites addresses too, by rules that are not shown here.
    rewritten_unseen: bool = False

    def base_chains(self, hook: str, family: Family) -> list[Chain]:
        """Return the filter chains that packets of `family` pass at `hook`."""
        return [
            chain
            for chain in self.chains.values()
            if chain.hook == hook and chain.type == "filter" and chain.family in ("inet", family)
        ]

    def statements(self, kind: str) -> Iterator[tuple[Chain, Rule, Any]]:
        """Yield each statement `kind` of any rule."""
        for chain in self.chains.values():
            for rule in chain.rules:
                for expression in rule.expressions:
                    if kind in expression:
                        yield chain, rule, expression[kind]


def parse(text: str) -> Ruleset:
    """Return the rule set that `text` (the output of `nft -j list ruleset`) describes.

    Raises ProbeError when it is not such an output.
    """
    try:
        objects = json.loads(text)["nftables"]
        chains: dict[tuple[str, str, str], Chain] = {}
        sets: dict[tuple[str, str, str], NamedSet] = {}
        asleep = {_table(entry["table"]) for entry in objects if "table" in entry and _sleeps(entry["table"])}
        for entry in objects:
            (kind, value) = next(iter(entry.items()))
            if kind == "chain":
                chain = _chain(value)
                in_use = f"{chain.family} {chain.table}" not in asleep
                chains[_key(value)] = chain if in_use else replace(chain, hook="")
            elif kind in ("set", "map"):
                sets[_key(value)] = _set(value)
        for entry in objects:
            if "rule" in entry:
                value = entry["rule"]
                rule = Rule(tuple(value["expr"]), value["handle"], value.get("comment", ""))
                chains[value["family"], value["table"], value["chain"]].rules.append(rule)
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise ProbeError(
            says(
                en=f"the answer of `nft -j list ruleset` does not parse ({error!r}): {text[:120]!r}",
                zh=f"`nft -j list ruleset` 的输出无法解析（{error!r}）：{text[:120]!r}",
            )
        ) from error
    return Ruleset(chains, sets, tuple(sorted(asleep)))


def _table(value: dict[str, Any]) -> str:
    return f"{value['family']} {value['name']}"


def _sleeps(value: dict[str, Any]) -> bool:
    """Return whether a table is dormant. nft 1.0.6 prints the table's own name for whatever flag it has."""
    flags = value.get("flags", [])
    named = {flags} if isinstance(flags, str) else set(flags)
    return bool(named - ({"owner", "persist"} - {value["name"]}))


def _key(value: dict[str, Any]) -> tuple[str, str, str]:
    return value["family"], value["table"], value["name"]


def _chain(value: dict[str, Any]) -> Chain:
    return Chain(
        *_key(value),
        type=value.get("type", ""),
        hook=value.get("hook", ""),
        policy=value.get("policy", "accept"),
    )


def _set(value: dict[str, Any]) -> NamedSet:
    elements = value.get("elem", [])
    flags = value.get("flags", [])
    flags = [flags] if isinstance(flags, str) else flags
    moving = bool({"dynamic", "timeout"} & set(flags)) or "timeout" in value
    return NamedSet(tuple(elements if isinstance(elements, list) else [elements]), moving)
