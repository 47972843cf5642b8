"""Copies of backups: what the ledger may register of them, of whom the controls speak, and how restic's listing is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from medsec.catalogue.controls import load_controls
from medsec.catalogue.source import validate
from medsec.errors import ProbeError, UsageError
from medsec.inventory import load_inventory
from medsec.inventory.ledger import Ledger
from medsec.judge.applicability import applies_to, why_not_applicable, why_not_registered
from medsec.probes.backup_copies import Snapshot, snapshots
from medsec.resources import root

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOt6Jv7TOqX8jkzKyI3a12eiRSh7MQKCB9E9krpcyxKJ"
LISTED = (Path(__file__).parent / "captured/restic_snapshots.json").read_text(encoding="utf-8")


@pytest.fixture
def ledger() -> dict[str, Any]:
    """The example clinic's, with a copy of his-db on backup."""
    text = (root() / "inventory/group_vars/all/ledger.yml").read_text(encoding="utf-8")
    value: dict[str, Any] = yaml.safe_load(text)["ledger"]
    database, backup = value["hosts"]["his-db"], value["hosts"]["backup"]
    database["copied_to"] = [{"host": "backup", "address": "10.66.2.10", "key": KEY}]
    database["listens"][0]["sources"].append("backup")
    backup["copies_of"] = [{"host": "his-db", "address": "10.66.1.20", "systems": ["postgresql", "mariadb"]}]
    return value


def test_both_ends_of_a_copy_are_registered(ledger: dict[str, Any]) -> None:
    hosts = validate(Ledger, ledger, "ledger").hosts
    assert "copied_to" in hosts["his-db"].registers
    assert "copies_of" in hosts["backup"].registers


@pytest.mark.parametrize(
    ("host", "field", "value", "said"),
    [
        ("backup", "copies_of", [], "whose copies_of lacks 'his-db'"),
        ("his-db", "copied_to", [], "whose copied_to lacks 'backup'"),
        ("his-db", "copied_to", [{"host": "backup", "address": "10.66.2.11"}], "is registered at 10.66.2.10"),
        (
            "his-db",
            "copied_to",
            [{"host": "his-db", "address": "10.66.1.20"}],
            "a copy on the host itself is none",
        ),
        ("his-db", "copied_to", [{"host": "a; id", "address": "10.66.1.20"}], "host"),
        ("his-db", "copied_to", [{"host": "backup", "address": "10.66.2.10", "key": f"{KEY}\nx"}], "key"),
        ("his-db", "runs", ["postgresql"], "is registered to run postgresql, got postgresql, mariadb"),
        ("his-db", "listens", [], "is not registered to listen on port 22 for 10.66.2.10"),
    ],
)
def test_ends_that_disagree_are_refused(
    ledger: dict[str, Any], host: str, field: str, value: object, said: str
) -> None:
    ledger["hosts"][host][field] = value
    with pytest.raises(UsageError, match=r".") as caught:
        validate(Ledger, ledger, "ledger")
    assert said in caught.value.in_language("en")


def test_an_end_at_another_site_is_taken_at_its_word(ledger: dict[str, Any]) -> None:
    ledger["hosts"]["his-db"]["copied_to"].append({"host": "far-away", "address": "192.0.2.9"})
    validate(Ledger, ledger, "ledger")


def test_nothing_is_said_of_a_server_without_a_registered_copy() -> None:
    """That is no pass: the reason names the field."""
    database = load_inventory(root() / "inventory").hosts["his-db"]
    control = load_controls(root() / "roles")["backups_offered_for_copy"]
    assert not applies_to(control, database)
    assert why_not_applicable(control, database) is None
    reason = why_not_registered(control, database)
    assert reason is not None
    assert "copied_to" in reason.en


def test_copies_are_read_from_what_restic_lists() -> None:
    """Two copies, and a snapshot that somebody made by hand."""
    assert LISTED.count('"short_id"') == 3
    first, second = snapshots(LISTED)
    assert first == Snapshot(
        id=first.id,
        host="source",
        product="mariadb",
        set=first.set,
        digest=first.digest,
        started=first.started,
    )
    assert second.product == "postgresql"
    assert first.started > 1_700_000_000
    assert snapshots("null") == ()


def test_a_listing_that_is_none_is_an_error() -> None:
    with pytest.raises(ProbeError):
        snapshots("Fatal: wrong password")
