"""What an isolation lets through, and what it is told to stop; without a host."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from medsec.catalogue.controls import load_controls
from medsec.errors import UsageError
from medsec.inventory import load_inventory
from medsec.isolation.effect import effect
from medsec.isolation.isolating import management
from medsec.isolation.rules import Management, rules
from medsec.resources import root

CLINIC = Path(__file__).parents[2] / "inventory"
BOTH = Management("management", ("10.66.1.1/32", "fd00::1/128"), (22, 2222))


def test_only_administrators_and_their_ports_are_let_in() -> None:
    assert BOTH.lets_in("10.66.1.1", 2222)
    assert BOTH.lets_in("::ffff:10.66.1.1", 22)
    assert BOTH.lets_in("fd00::1%eth0", 22)
    assert not BOTH.lets_in("10.66.1.2", 22)
    assert not BOTH.lets_in("10.66.1.1", 80)


def test_a_family_that_nobody_administers_by_is_shut_wholly() -> None:
    only_v4 = rules(Management("management", ("10.66.1.1/32",), (22,)))
    assert "ip6 saddr" not in only_v4
    assert "nd-neighbor" not in only_v4
    assert "nd-neighbor" in rules(BOTH)
    assert only_v4.count("policy drop;") == 3


def test_what_stops_is_told_from_the_ledger() -> None:
    found = load_inventory(CLINIC)
    controls = load_controls(root() / "roles")

    def told(name: str) -> str:
        host = found.hosts[name]
        return "\n".join(text.en for text in effect(found, host, management(controls, found, host)))

    assert "tcp 8080 (HIS business) serves terminals: terminal-1, terminal-2" in told("his-app")
    assert "it uses his-db tcp 5432 (HIS database)" in told("his-app")
    assert "tcp 22" not in told("his-app"), "administrators stay"
    assert "tcp 22 (Administration and incoming backups) serves his_db: his-db" in told("backup")
    assert "goes through it: terminals -> his_app tcp 8080" in told("gateway")


def test_a_ledger_without_administrators_is_refused(tmp_path: Path) -> None:
    variables = tmp_path / "group_vars/all"
    variables.mkdir(parents=True)
    ledger = yaml.safe_load((CLINIC / "group_vars/all/ledger.yml").read_text(encoding="utf-8"))
    (variables / "ledger.yml").write_text(yaml.safe_dump(ledger, allow_unicode=True), encoding="utf-8")
    (variables / "other.yml").write_text("inbound_denied_by_default_management_set: nobody\n", encoding="utf-8")
    (tmp_path / "hosts.yml").write_text((CLINIC / "hosts.yml").read_text(encoding="utf-8"), encoding="utf-8")
    found = load_inventory(tmp_path)
    with pytest.raises(UsageError, match="'nobody'"):
        management(load_controls(root() / "roles"), found, found.hosts["his-app"])
