"""Statements at a collector: what the ledger may register of it, and how the hosts' answers are read."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from medsec.catalogue.controls import load_controls
from medsec.catalogue.source import validate
from medsec.errors import UsageError
from medsec.inventory import load_inventory
from medsec.inventory.ledger import Ledger
from medsec.judge.applicability import applies_to, why_not_registered
from medsec.probes.statement_logs import Log, _collected, _log, _rsyslog, problems_of
from medsec.resources import root


@pytest.fixture
def ledger() -> dict[str, Any]:
    """The example clinic's: his-db is collected by backup."""
    text = (root() / "inventory/group_vars/all/ledger.yml").read_text(encoding="utf-8")
    value: dict[str, Any] = yaml.safe_load(text)["ledger"]
    return value


def test_both_ends_are_registered(ledger: dict[str, Any]) -> None:
    hosts = validate(Ledger, ledger, "ledger").hosts
    assert "collected_by" in hosts["his-db"].registers
    assert "collects_from" in hosts["backup"].registers
    assert hosts["his-db"].collected_by[0].port == 2514


@pytest.mark.parametrize(
    ("host", "field", "value", "said"),
    [
        ("backup", "collects_from", [], "whose collects_from lacks 'his-db'"),
        ("his-db", "collected_by", [], "whose collected_by lacks 'backup'"),
        ("his-db", "collected_by", [{"host": "backup", "address": "10.66.2.11"}], "is registered at 10.66.2.10"),
        ("his-db", "collected_by", [{"host": "his-db", "address": "10.66.1.20"}], "on the host itself is none"),
        ("his-db", "collected_by", [{"host": 'a"; x', "address": "10.66.1.20"}], "host"),
        ("his-db", "collected_by", [{"host": "backup", "address": "10.66.2.10", "port": 514}], "port 514 for"),
        (
            "his-db",
            "collected_by",
            [{"host": name, "address": "192.0.2.1"} for name in ("one", "other")],
            "at most 1",
        ),
        ("his-db", "runs", ["postgresql"], "is registered to run postgresql, got postgresql, mariadb"),
        ("backup", "listens", [], "is not registered to listen on port 2514 for 10.66.1.20"),
    ],
)
def test_ends_that_disagree_are_refused(
    ledger: dict[str, Any], host: str, field: str, value: object, said: str
) -> None:
    ledger["hosts"][host][field] = value
    with pytest.raises(UsageError, match=r".") as caught:
        validate(Ledger, ledger, "ledger")
    assert said in caught.value.in_language("en")


def test_nothing_is_said_where_no_collector_is_registered(ledger: dict[str, Any]) -> None:
    """That is no pass: the reason names the field."""
    controls, hosts = load_controls(root() / "roles"), load_inventory(root() / "inventory").hosts
    assert applies_to(controls["statements_reach_collector"], hosts["his-db"])
    assert applies_to(controls["statements_collected"], hosts["backup"])
    reason = why_not_registered(controls["statements_collected"], hosts["his-app"])
    assert reason is not None
    assert "collects_from" in reason.en


def test_how_far_a_log_was_read() -> None:
    assert _log("postgresql 12 12 /var/log/a b.log") == Log("postgresql", "/var/log/a b.log", 12, 12)
    assert _log("mariadb none gone /x.log (deleted)") == Log("mariadb", "/x.log (deleted)", None, None)
    assert _collected("db/mariadb 100 adm 90")[1].newest == 90
    assert _collected("db/mariadb 100 adm")[1].newest is None


def test_every_fault_of_rsyslog_is_told() -> None:
    told = {
        "now": ["1"],
        "ActiveState": ["failed"],
        "UnitFileState": ["masked"],
        "invalid": ["line 3"],
        "unread": ["/etc/a"],
    }
    said = "; ".join(text.en for text in problems_of(_rsyslog(told)))
    for words in (
        "does not run",
        "not started at boot",
        "refuses its settings: line 3",
        "since they changed: /etc/a",
    ):
        assert words in said
    assert not [*problems_of(_rsyslog({"now": ["1"], "ActiveState": ["active"], "UnitFileState": ["enabled"]}))]
