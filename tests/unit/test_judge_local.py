"""Judging this machine without an inventory: what needs a ledger is not guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medsec.catalogue.controls import Control
from medsec.catalogue.standards import load_standards
from medsec.evidence.findings import Verdict
from medsec.inventory.local import local_inventory
from medsec.inventory.systems import os_family, os_release
from medsec.judge import LocalTransport, judge
from medsec.judge.verifying import verify
from medsec.reports import summary
from medsec.resources import root

WORDS = {"zh": "文", "en": "text"}


def control(folder: Path, name: str, **more: Any) -> Control:
    home = folder / name
    home.mkdir(parents=True)
    home.joinpath("check.py").write_text("def check(host, params):\n    host.run('true')\n", encoding="utf-8")
    applies_to = {"kinds": ["server"], "families": ["debian", "redhat"]} | more.pop("applies_to", {})
    return Control.model_validate(
        {
            "id": name,
            "item": "NW-10",
            "title": WORDS,
            "why": WORDS,
            "impact": WORDS,
            "severity": "high",
            "applies_to": applies_to,
            "risk": "none",
            "proof": "container",
            "family": "some",
            "home": home,
            **more,
        }
    )


def test_what_needs_a_ledger_is_an_error_that_says_so(tmp_path: Path) -> None:
    listens = {"listens": {"type": "list", "doc": WORDS, "ledger": "host.listens"}}
    controls = [
        control(tmp_path, "state_of_its_own"),
        control(tmp_path, "ports_registered", parameters=listens),
        control(tmp_path, "audit_on", applies_to={"runs": "postgresql"}),
        control(tmp_path, "screen_locked", applies_to={"kinds": ["terminal"]}, parameters=listens),
    ]
    inventory = local_inventory("server")
    result = judge(inventory, list(inventory.hosts.values()), controls, transport=LocalTransport())
    assert [f.verdict for f in result.findings] == [
        Verdict.PASS,
        Verdict.ERROR,
        Verdict.ERROR,
        Verdict.NOT_APPLICABLE,
    ]
    assert "needs a ledger" in result.findings[1].text.en
    assert "需要台账" in result.findings[2].text.zh
    assert result.exit_code == 3


def test_a_local_run_is_kept_like_any_other(tmp_path: Path) -> None:
    inventory = local_inventory("server", runs=["postgresql"])
    run = verify(
        inventory,
        list(inventory.hosts.values()),
        [control(tmp_path, "state_holds", applies_to={"runs": "postgresql"})],
        site=tmp_path,
        standards=load_standards(root() / "standards"),
        catalogue=root(),
        transport=LocalTransport(),
        argv=["medsec", "verify", "local"],
    )
    assert run.finished
    assert not run.header.registered
    assert not any("--limit" in line for line in summary(run, "en"))
    assert run.conclusion.exit_code == 0
    assert run.evidence(run.stored[0])[0].command == "true"
    assert run.items["NW-10"].title.zh
    assert next(iter(run.identities.values())) is not None


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ('ID=debian\nVERSION_ID="12"', "debian"),
        ('ID="centos"\nID_LIKE="rhel fedora"', "redhat"),
        ("ID=uos\nID_LIKE=debian", "debian"),
        ('NAME="unbalanced\nID=rocky\nID_LIKE="rhel centos fedora"', "redhat"),
        ("ID=alpine", None),
        ("", None),
    ],
)
def test_systems_by_their_own_name(text: str, family: str | None) -> None:
    assert os_family(os_release(text)) == family
