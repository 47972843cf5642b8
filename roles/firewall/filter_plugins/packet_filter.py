"""Lets the role's tasks ask what a rule set lets in, as the library reads it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

try:
    from medsec.packetfilter import host_rules
except ImportError:  # run from a checkout by an Ansible that does not know it: the library lies beside the roles
    sys.path.append(str(Path(__file__).resolve().parents[3]))
    from medsec.packetfilter import host_rules


def question(_: object) -> str:
    """Return the shell command whose answer the other filters read."""
    return host_rules.question()


def differs(answer: str, parameters: Mapping[str, Any]) -> bool:
    """Return whether the packet filter in `answer` is anything but what `parameters` register."""
    rules = host_rules.read(answer)
    return rules is None or bool(host_rules.problems(rules, host_rules.wanted_by(parameters)))


def other_loaders(answer: str) -> list[str]:
    """Return the units, other than nftables.service, that load rules at boot."""
    return host_rules.other_loaders(host_rules.read(answer))


def overridden(answer: str) -> bool:
    """Return whether files of the site change how nftables.service starts."""
    rules = host_rules.read(answer)
    return rules is not None and rules.overridden


def legacy_programs(answer: str) -> list[str]:
    """Return the programs whose tables hold rules that nft cannot show."""
    return host_rules.legacy_programs(host_rules.read(answer))


def shut_out(connections: str, parameters: Mapping[str, Any]) -> list[str]:
    """Return the connections of the operator (a line each: his address, the host's port) that `parameters` shut out."""
    return host_rules.shut_out(connections, host_rules.wanted_by(parameters))


class FilterModule:
    """The filters, as Ansible finds them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "packet_filter_overridden": overridden,
            "packet_filter_question": question,
            "packet_filter_differs": differs,
            "packet_filter_legacy_programs": legacy_programs,
            "packet_filter_other_loaders": other_loaders,
            "packet_filter_shut_out": shut_out,
        }
