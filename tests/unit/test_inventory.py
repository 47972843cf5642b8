"""Hosts, ledger and effective parameters: what is accepted, and how errors read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from medsec.catalogue.controls import Control, load_control
from medsec.errors import UsageError
from medsec.inventory import effective, load_inventory

ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A copy of the example clinic."""
    shutil.copytree(ROOT / "inventory", tmp_path / "inventory")
    return tmp_path / "inventory"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def refused(site: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load_inventory(site)
    return caught.value.in_language("en")


def test_the_example_clinic_loads() -> None:
    inventory = load_inventory(ROOT / "inventory")
    assert set(inventory.hosts) == {"gateway", "his-app", "his-db", "backup", "terminal-1", "terminal-2"}
    assert inventory.hosts["his-db"].ledger.runs == ["postgresql", "mariadb"]
    assert inventory.hosts["his-db"].login.user == "admin"


def test_a_missing_inventory_says_what_to_do(tmp_path: Path) -> None:
    assert "medsec init" in refused(tmp_path)


def test_a_host_without_a_ledger_entry_is_refused(site: Path) -> None:
    edit(site / "hosts.yml", "his-app: {", "his-web: {ansible_host: 10.66.1.9}\n        his-app: {")
    assert "'his-web' is not in the ledger" in refused(site)


def test_a_ledger_entry_without_a_host_is_refused(site: Path) -> None:
    edit(site / "hosts.yml", "        backup: {ansible_host: 10.66.2.10}\n", "")
    assert "'backup'" in refused(site)


def test_an_unknown_address_set_is_answered_with_the_known_ones(site: Path) -> None:
    edit(site / "group_vars/all/ledger.yml", "sources: [terminals]", "sources: [terminal]")
    message = refused(site)
    assert "'terminal'" in message
    assert "management" in message


def test_a_wrong_type_names_the_field(site: Path) -> None:
    edit(site / "group_vars/all/ledger.yml", "port: 8080, process", "port: eighty, process")
    message = refused(site)
    assert "listens" in message
    assert "eighty" in message


def test_broken_yaml_names_the_file(site: Path) -> None:
    (site / "hosts.yml").write_text("all: [", encoding="utf-8")
    assert "hosts.yml" in refused(site)


def test_limits(site: Path) -> None:
    inventory = load_inventory(site)
    assert [host.name for host in inventory.limit(["terminals", "!terminal-2"])] == ["terminal-1"]
    assert len(inventory.limit([])) == len(inventory.hosts)
    assert len(inventory.limit(["!gateway"])) == len(inventory.hosts) - 1
    with pytest.raises(UsageError, match="cashiers"):
        inventory.limit(["cashiers"])


@pytest.fixture
def password_quality() -> Control:
    return load_control(ROOT / "roles/accounts/controls/password_quality_enforced/control.yml")


def test_inventory_wins_over_the_default(site: Path, password_quality: Control) -> None:
    (site / "group_vars/servers.yml").write_text("password_quality_enforced_minlen: 14\n", encoding="utf-8")
    inventory = load_inventory(site)
    chosen = {
        name: effective(password_quality, inventory.hosts[name], inventory.ledger).minlen
        for name in ("his-app", "terminal-1")
    }
    assert chosen == {"his-app": 14, "terminal-1": 8}


def test_a_wrong_parameter_names_host_variable_and_value(site: Path, password_quality: Control) -> None:
    (site / "group_vars/servers.yml").write_text("password_quality_enforced_minlen: long\n", encoding="utf-8")
    inventory = load_inventory(site)
    with pytest.raises(UsageError) as caught:
        effective(password_quality, inventory.hosts["his-app"], inventory.ledger)
    for part in ("his-app", "password_quality_enforced_minlen", "'long'", "int"):
        assert part in caught.value.in_language("en")


def test_a_misspelt_parameter_is_refused(site: Path, password_quality: Control) -> None:
    (site / "group_vars/servers.yml").write_text("password_quality_enforced_minlength: 9\n", encoding="utf-8")
    inventory = load_inventory(site)
    with pytest.raises(UsageError, match="password_quality_enforced_minlen"):
        effective(password_quality, inventory.hosts["his-app"], inventory.ledger)
