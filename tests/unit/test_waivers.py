"""Waivers of items that people judge, and of a database that cannot be patched: proof of what protects it meanwhile."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from sample_run import make_run

from medsec import resources
from medsec.catalogue.controls import Controls, load_controls
from medsec.errors import UsageError
from medsec.evidence.run import Permission
from medsec.inventory import Inventory, load_inventory
from medsec.inventory.waivers import load_waivers
from medsec.reports.html import html_report
from medsec.reports.summary import summary

ROOT = resources.root()
MEASURES = ("DB-01", "DB-02", "DB-03", "DB-04")


@pytest.fixture(scope="module")
def controls() -> Controls:
    return load_controls(ROOT / "roles")


@pytest.fixture
def clinic(tmp_path: Path) -> Inventory:
    (tmp_path / "group_vars/all").mkdir(parents=True)
    for name in ("hosts.yml", "group_vars/all/ledger.yml"):
        (tmp_path / name).write_bytes((ROOT / "inventory" / name).read_bytes())
    (tmp_path / "evidence").mkdir()
    for item in MEASURES:
        (tmp_path / f"evidence/{item}.txt").write_text(f"{item}: no rows selected\n", encoding="utf-8")
    return load_inventory(tmp_path)


def proof(clinic: Inventory, item: str) -> dict[str, Any]:
    file = clinic.path / f"evidence/{item}.txt"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return {"item": item, "file": f"evidence/{item}.txt", "sha256": digest, "seen": date(2026, 11, 20)}


def enter(clinic: Inventory, **changes: Any) -> None:
    waiver = {
        "control": "database_version_supported",
        "hosts": ["his-db"],
        "reason": "PostgreSQL 12 is out of support and the HIS runs on nothing newer",
        "owner": "张敏",
        "approver": "院长",
        "compensation": ["only the application server reaches it"],
        "relies_on": list(MEASURES),
        "proof": [proof(clinic, item) for item in MEASURES],
        "expires": date(2027, 5, 31),
    }
    written = {key: value for key, value in (waiver | changes).items() if value is not None}
    (clinic.path / "waivers.yml").write_text(yaml.safe_dump([written], allow_unicode=True), encoding="utf-8")


def runs(clinic: Inventory, *products: str) -> Inventory:
    """Return the clinic anew, with its database server registered to run `products`, and nothing else that depends on them."""
    file = clinic.path / "group_vars/all/ledger.yml"
    value = yaml.safe_load(file.read_text(encoding="utf-8"))
    value["ledger"]["hosts"]["his-db"]["runs"] = list(products)
    for name, field in (("his-db", "administrators"), ("his-db", "collected_by"), ("backup", "collects_from")):
        del value["ledger"]["hosts"][name][field]
    file.write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8")
    return load_inventory(clinic.path)


def test_an_item_that_no_control_judges_is_waived_with_proof(clinic: Inventory, controls: Controls) -> None:
    enter(clinic, control=None, item="UM-04", relies_on=None)
    waivers = load_waivers(clinic, controls)
    (permission,) = waivers.permissions(["his-db", "backup"])
    assert (permission.item, permission.hosts) == ("UM-04", ["his-db"])
    assert permission.compensation[0] == "only the application server reaches it"
    assert proof(clinic, "DB-03")["sha256"] in " ".join(permission.compensation)
    assert waivers.permissions(["backup"]) == []
    assert [(name, host) for name, host, _ in waivers.as_written()] == [("UM-04", "his-db")]


@pytest.mark.parametrize("missing", MEASURES)
def test_an_old_database_relies_on_every_measure(clinic: Inventory, controls: Controls, missing: str) -> None:
    enter(clinic, relies_on=[item for item in MEASURES if item != missing])
    with pytest.raises(UsageError, match=f"relies_on lacks {missing}$"):
        load_waivers(clinic, controls)


@pytest.mark.parametrize("missing", MEASURES)
def test_what_no_control_judges_must_be_proved(clinic: Inventory, controls: Controls, missing: str) -> None:
    oracle = runs(clinic, "oracle")
    enter(clinic, proof=[proof(clinic, item) for item in MEASURES if item != missing])
    with pytest.raises(
        UsageError, match=f"proof is missing: {missing} on his-db, where no control of it judges oracle"
    ):
        load_waivers(oracle, controls)


def test_controls_prove_what_they_judge(clinic: Inventory, controls: Controls) -> None:
    """PostgreSQL has a control for each of the four, MariaDB none for the separation of powers."""
    postgresql = runs(clinic, "postgresql")
    enter(clinic, proof=None)
    waivers = load_waivers(postgresql, controls)
    assert waivers.relied_on("database_version_supported", "his-db") == {
        "postgresql_reached_by_ledger_only",
        "postgresql_passwords_guarded",
        "postgresql_statements_audited",
        "postgresql_privileges_limited",
    }
    with pytest.raises(
        UsageError, match="proof is missing: DB-04 on his-db, where no control of it judges mariadb"
    ):
        load_waivers(clinic, controls)
    enter(clinic, proof=[proof(clinic, "DB-04")])
    assert len(load_waivers(clinic, controls).relied_on("database_version_supported", "his-db")) == 9


def test_altered_or_missing_evidence_proves_nothing(clinic: Inventory, controls: Controls) -> None:
    enter(clinic)
    file = clinic.path / "evidence/DB-02.txt"
    file.write_text("SCOTT OPEN\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"evidence/DB-02.txt is not the file that proves DB-02"):
        load_waivers(clinic, controls)
    file.unlink()
    with pytest.raises(UsageError, match="SHA-256 is -"):
        load_waivers(clinic, controls)


def test_evidence_lies_in_the_inventory(clinic: Inventory, controls: Controls, tmp_path_factory: Any) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "DB-01.txt"
    elsewhere.write_bytes((clinic.path / "evidence/DB-01.txt").read_bytes())
    outside = proof(clinic, "DB-01") | {"file": str(elsewhere)}
    enter(clinic, proof=[outside, *[proof(clinic, item) for item in MEASURES[1:]]])
    with pytest.raises(UsageError, match="SHA-256 is -"):
        load_waivers(clinic, controls)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"item": "UM-04"}, "either a control or an item"),
        ({"control": None}, "either a control or an item"),
        ({"control": None, "item": "UM-04", "relies_on": None, "proof": []}, "at least one file"),
        ({"control": None, "item": "UM-04"}, "people judge the item"),
        ({"control": None, "item": "DB-06", "relies_on": None}, "waive the control instead"),
        ({"control": None, "item": "DB-66", "relies_on": None}, "DB-66"),
        ({"relies_on": [*MEASURES, "DB-66"]}, "DB-66"),
    ],
)
def test_a_waiver_speaks_of_one_thing_that_people_judge(
    clinic: Inventory, controls: Controls, changes: dict[str, Any], reason: str
) -> None:
    enter(clinic, **changes)
    with pytest.raises(UsageError, match=reason):
        load_waivers(clinic, controls)


def test_reports_tell_what_is_permitted_and_what_proves_it(tmp_path: Path) -> None:
    run = make_run(tmp_path, hosts=1)
    day = run.header.started.date()

    def told(expires: date) -> tuple[str, str]:
        permission = Permission(
            item="DB-06",
            hosts=["his-oracle"],
            reason="no patch",
            owner="o",
            approver="a",
            compensation=["DB-01: evidence/DB-01.txt (2026-11-20, sha256 abc)"],
            expires=expires,
        )
        header = run.header.model_copy(update={"permissions": [permission]})
        with_it = replace(run, header=header)
        return "\n".join(summary(with_it, "en")), html_report(with_it, "en")

    text, page = told(date(day.year + 1, 1, 31))
    assert "for people to check: DB-06 unmet on his-oracle" in text
    assert "evidence/DB-01.txt (2026-11-20, sha256 abc)" in page
    text, page = told(date(day.year - 1, 1, 31))
    assert "Permission EXPIRED" in text
    assert "expired" in page
