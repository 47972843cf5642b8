"""A break-glass account: permitted by the ledger until a day, for itself alone, and never a plain pass."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from medsec.catalogue.controls import load_control
from medsec.errors import Spared
from medsec.evidence.findings import Verdict
from medsec.inventory import Host, load_inventory
from medsec.inventory.ledger import BreakGlass
from medsec.inventory.waivers import Waivers
from medsec.judge.checks import evaluate
from medsec.judge.local import LocalTransport
from medsec.text import says
from tests import engine_site as site

ENTRY: dict[str, Any] = {
    "account": "emergency",
    "reason": "网络中断时本机登录",
    "owner": "张工",
    "approver": "信息科主任",
    "compensation": ["口令封存"],
    "expires": "2026-12-31",
}
TODAY = date(2026, 11, 22)
FOUND = says(en="no lock for emergency", zh="emergency 不锁定")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    found = load_inventory(site.make_site(tmp_path / "site", {"one": {}})).hosts["one"]
    found.ledger.break_glass.append(BreakGlass.model_validate(ENTRY))
    return found


def applied(host: Host, spared: tuple[str, ...], today: date = TODAY) -> Any:
    return Waivers.none().apply("login_locked_after_failures", host, Verdict.FAIL, FOUND, today, spared)


def test_the_ledgers_permission_makes_it_waived_and_says_by_whom_and_until_when(host: Host) -> None:
    verdict, text, note = applied(host, ("emergency",))
    assert verdict is Verdict.WAIVED
    assert "信息科主任" in text.zh
    assert "2026-12-31" in text.en
    assert (note.state, note.owner, note.compensation) == ("active", "张工", ("口令封存",))


def test_it_permits_no_other_account_no_later_day_and_nothing_else_of_the_control(host: Host) -> None:
    verdict, text, _ = applied(host, ("emergency", "other"))
    assert (verdict, "other" in text.en, "break_glass" in text.zh) == (Verdict.FAIL, True, True)
    verdict, text, note = applied(host, ("emergency",), date(2027, 1, 1))
    assert (verdict, note.state, "expired" in text.en) == (Verdict.FAIL, "expired", True)
    assert applied(host, ()) == (Verdict.FAIL, FOUND, None)


@pytest.mark.parametrize("field", list(ENTRY))
def test_every_field_must_be_given(field: str) -> None:
    with pytest.raises(ValidationError):
        BreakGlass.model_validate({name: value for name, value in ENTRY.items() if name != field})


@pytest.mark.parametrize("account", ["root", "", "a b", "-x", "a:b", "A", "x" * 33])
def test_an_account_that_cannot_be_one_is_refused(account: str) -> None:
    with pytest.raises(ValidationError):
        BreakGlass.model_validate({**ENTRY, "account": account})


def test_a_check_that_spares_an_account_fails_wherever_nobody_knows_better(tmp_path: Path, host: Host) -> None:
    control = site.make_control(tmp_path / "roles", "a_lock", path="/x")
    body = (
        "from medsec.errors import Spared\nfrom medsec.text import says\n\n\n"
        "def check(host, params):\n    host.run('true')\n    raise Spared(says(en='but for x', zh='除 x 外'), ['x'])\n"
    )
    (control.home / "check.py").write_text(body, encoding="utf-8")
    control = load_control(control.home / "control.yml")
    outcome = evaluate(control, LocalTransport().connect(host), {})  # type: ignore[arg-type]
    assert (outcome.verdict, outcome.spared, outcome.text) == (Verdict.FAIL, ("x",), "but for x")
    assert issubclass(Spared, AssertionError)
