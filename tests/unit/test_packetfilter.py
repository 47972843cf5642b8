"""What rule sets let in, read from real answers of nft (tests/unit/captured/nft)."""

from __future__ import annotations

from pathlib import Path

import pytest

from medsec.errors import ProbeError
from medsec.packetfilter.flows import Registered, differences, registered
from medsec.packetfilter.host_rules import legacy_programs, other_loaders, problems, read, shut_out
from medsec.packetfilter.ruleset import Ruleset, parse
from medsec.packetfilter.spans import Spans

CAPTURED = Path(__file__).parent / "captured/nft"
SETS = {"management": ["10.66.1.1/32", "fd66::1/128"], "terminals": ["10.66.3.0/24"]}
LISTENS = [
    {"port": 22, "protocol": "tcp", "sources": ["management"]},
    {"port": 8080, "sources": ["terminals"]},  # as a ledger may be written: tcp is what is meant
    {"port": 5432, "protocol": "tcp", "sources": ["local"]},
]


def ledger(forwards: list[dict[str, object]] | None = None) -> Registered:
    return registered(
        listens=LISTENS,
        forwards=forwards or [],
        address_sets=SETS,
        management_set="management",
        management_ports=[22],
    )


def loaded(name: str) -> Ruleset:
    return parse((CAPTURED / f"{name}.json").read_text(encoding="utf-8"))


def found(name: str) -> str:
    return "; ".join(differences(loaded(name), ledger(), ["lo", "eth0"]))


@pytest.mark.parametrize("name", sorted(path.stem for path in CAPTURED.glob("ok_*.json")))
def test_what_lets_in_just_the_registered_is_accepted_however_it_is_written(name: str) -> None:
    assert found(name) == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bad_policy_accept", "IPv4 packets that no rule names are let in: table inet filter, chain input: policy accept"),
        ("bad_any_any", "every protocol from any IPv6 address is let in"),
        ("bad_any_source", "tcp port 22 from any IPv4 address is let in"),
        ("bad_port_range", "tcp port 8000-8079, 8081-8100 from 10.66.3.0/24 is let in"),
        ("bad_negated_source", "tcp port 443 from 0.0.0.0-192.0.2.0 and others is let in"),
        ("bad_other_interface", "every protocol from any IPv4 address is let in"),
        ("bad_wildcard_interface", "every protocol from any IPv4 address is let in"),
        ("bad_new_state", "every protocol from any IPv4 address is let in"),
        ("bad_jump", "udp port 161 from any IPv6 address is let in"),
        ("bad_map", "tcp port 23 from any IPv4 address is let in"),
        ("bad_shadowed_refusal", "udp port 53 from any IPv4 address is let in"),
        ("bad_moving_set", "every protocol from any IPv4 address may be let in"),
        ("bad_unknown_condition", "every protocol from any IPv4 address may be let in"),
        ("bad_other_protocol", "protocol 47 from any IPv4 address is let in"),
        ("bad_ipv4_only", "incoming IPv6 packets are not filtered"),
        ("bad_registered_shut", "tcp port 8080 from 10.66.3.0/24 is registered in the ledger and is not let in"),
        ("bad_registered_dropped_before", "tcp port 8080 from 10.66.3.0/24 is registered in the ledger and is not let in"),
        ("bad_no_log", "refused IPv4 packets leave no record"),
        ("bad_log_without_limit", "logged without a limit on the rate"),
        ("bad_log_of_one_port", "refused IPv4 packets leave no record"),
        ("bad_forward_open", "IPv6 packets that no rule names are let through"),
        ("bad_dormant_table", "incoming IPv4 packets are not filtered: no filter chain at hook input (dormant: table inet filter)"),
        ("bad_synproxy", "tcp port 5432 from any IPv4 address is let in"),
        ("bad_expectation", "rule 11 (ct expectation) lets packets past the filter"),
        ("bad_passed_on_at_ingress", "table netdev n, chain i, rule 2 (fwd) lets packets past the filter"),
        ("bad_source_rewritten_inward", "chain ni, rule 12 gives incoming packets another source"),
        ("bad_iptables_queue", "tcp port 5432 from any IPv4 address may be let in"),
        ("bad_iptables_dnat", "every protocol from any IPv4 address may be let through"),
        ("bad_rewritten_source", "table ip raw, chain pre, rule 2 rewrites packets before they are judged"),
    ],
)  # fmt: skip
def test_what_differs_from_the_ledger_is_named(name: str, expected: str) -> None:
    assert expected in found(name)


def test_every_captured_rule_set_has_a_test() -> None:
    names = {path.stem for path in CAPTURED.glob("*.json")}
    assert len(names) == 36, "a rule set was added or lost: say here what is expected of it"


def test_a_flow_through_a_gateway_that_is_registered_must_pass() -> None:
    flow = {"sources": ["terminals"], "destinations": ["management"], "protocol": "tcp", "port": 443}
    texts = differences(loaded("ok_plain"), ledger([flow]), ["lo", "eth0"])
    assert (
        "tcp port 443 from 10.66.3.0/24 to 10.66.1.1 is registered in the ledger and is not let through" in texts
    )


def test_the_administrators_may_come_in_and_need_not() -> None:
    nobody = registered(
        listens=[], forwards=[], address_sets=SETS, management_set="management", management_ports=[22]
    )
    texts = differences(loaded("bad_registered_shut"), nobody, ["lo", "eth0"])
    assert texts == []


def test_what_nft_does_not_say_is_no_rule_set() -> None:
    with pytest.raises(ProbeError, match="does not parse"):
        parse("Error: no such thing")


ANSWER = """== now
{now}
== interfaces
eth0
lo
== loaders
{loaders}
== nftables.service
LoadState=loaded
FragmentPath={fragment}
DropInPaths=
UnitFileState={state}
== others
{others}
== boot
{boot}
== scripts
{scripts}
== legacy
{legacy}
== end
"""


def answer(**parts: str) -> str:
    text = (CAPTURED / "ok_plain.json").read_text(encoding="utf-8").strip()
    usual = {
        "now": text,
        "boot": text,
        "loaders": "unit nftables.service\nwanted sysinit.target",
        "state": "enabled",
        "fragment": "/lib/systemd/system/nftables.service",
        "others": "",
        "scripts": "",
        "legacy": "",
    }
    return ANSWER.format(**(usual | parts))


def judged(**parts: str) -> str:
    rules = read(answer(**parts))
    assert rules is not None
    return "; ".join(problems(rules, ledger()))


def test_a_host_that_keeps_its_rules_over_a_boot_is_accepted() -> None:
    assert judged() == ""


def test_rules_that_no_unit_loads_are_gone_after_a_boot() -> None:
    assert "nftables.service is disabled" in judged(boot="", loaders="", state="disabled")


def test_the_rule_set_of_the_next_boot_is_judged_as_well() -> None:
    opened = (CAPTURED / "bad_map.json").read_text(encoding="utf-8").strip()
    assert "after the next boot: tcp port 23 from any IPv4 address is let in" in judged(boot=opened)


def test_a_file_that_does_not_load_is_told() -> None:
    assert "does not load: /etc/nftables.conf:3:1-1" in judged(
        boot="/etc/nftables.conf:3:1-1: Error: syntax error"
    )


@pytest.mark.parametrize(
    ("loaders", "expected"),
    [
        ("unit nftables.service\nwanted rescue.target", "which boot does not reach"),
        (
            "unit nftables.service\nwanted sysinit.target\ncondition ConditionPathExists=/x",
            "starts only on a condition",
        ),
        ("unit nftables.service\nstale\nwanted sysinit.target", "changed after systemd read them"),
    ],
)
def test_a_unit_that_may_not_start_is_told(loaders: str, expected: str) -> None:
    assert expected in judged(loaders=loaders)


def test_a_second_firewall_and_rules_that_nft_cannot_show_are_told() -> None:
    text = judged(others="ufw.service", legacy="iptables-legacy -A INPUT -j ACCEPT")
    assert "ufw.service loads a rule set of its own" in text
    assert "iptables-legacy -A INPUT -j ACCEPT" in text
    assert "/etc/rc.local runs nft or iptables besides" in judged(scripts="/etc/rc.local")
    rules = read(answer(others="ufw.service", legacy="ip6tables-legacy -A INPUT -j ACCEPT"))
    assert other_loaders(rules) == ["ufw.service"]
    assert legacy_programs(rules) == ["ip6tables-legacy"]


def test_what_the_older_interface_rewrites_makes_dnat_a_way_in() -> None:
    opened = (CAPTURED / "bad_iptables_dnat.json").read_text(encoding="utf-8").replace('"DNAT"', '"LOG"').strip()
    assert judged(now=opened, boot=opened) == ""
    assert "may be let through" in judged(now=opened, boot=opened, legacy="nat")


def test_a_unit_that_the_site_changed_or_masked_is_told_apart() -> None:
    for part, expected in (
        ({}, False),
        ({"fragment": "/etc/systemd/system/nftables.service"}, True),
        ({"state": "masked"}, True),
    ):
        rules = read(answer(**part))
        assert rules is not None
        assert rules.overridden is expected


def test_an_answer_that_stops_half_way_is_an_error() -> None:
    with pytest.raises(ProbeError, match="stops at"):
        read(answer().partition("== boot")[0])


def test_a_host_without_nft_is_told_apart_from_one_without_rules() -> None:
    assert read("== no nft\n") is None


def test_the_operator_is_told_apart_from_strangers() -> None:
    assert shut_out("10.66.1.1 22\n", ledger()) == []
    assert shut_out("::ffff:10.66.1.1 22", ledger()) == []
    assert shut_out("fd66::1%eth0 22", ledger()) == []
    assert shut_out("10.66.1.2 22", ledger()) == ["10.66.1.2 22"]
    assert shut_out("10.66.1.1 2222", ledger()) == ["10.66.1.1 2222"]
    assert shut_out("", ledger()) == []


def test_spans_are_sets() -> None:
    some = Spans.of([(5, 9), (1, 3), (4, 4)])
    assert some.parts == ((1, 9),)
    assert (some - Spans.points(1, 5, 9)).parts == ((2, 4), (6, 8))
    assert (Spans(()) - some).parts == ()
    assert Spans.of([(3, 4)]).complement(0, 9).parts == ((0, 2), (5, 9))
