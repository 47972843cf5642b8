"""Every control on every host."""

from __future__ import annotations

import pytest

from medsec.catalogue.controls import Control
from medsec.errors import ProbeError
from medsec.evidence.findings import Verdict
from medsec.inventory import effective
from medsec.inventory.profile import why_not_selected
from medsec.judge.applicability import why_not_applicable
from medsec.judge.checks import Outcome
from medsec.judge.subjects import Site, Subject
from medsec.judge.transport import Limits
from medsec.text import in_language


@pytest.fixture
def outcome(site: Site, subject: Subject, control: Control) -> Outcome:
    """What the check came to. Raises here, so that pytest says ERROR and not FAILED, when it proved nothing."""
    site.ask_all(seconds=Limits().check_seconds)
    subject.connection()
    reason = why_not_applicable(control, subject.host) or why_not_selected(control, subject.host)
    if reason is not None:
        pytest.skip(in_language(reason, site.language))
    relied_on = site.waivers.relied_on(control.id, subject.host.name)
    beside = {other.id: _verdict(site, subject, other) for other in site.controls if other.id in relied_on}
    params = effective(control, subject.host, site.inventory.ledger)
    came_to = subject.examined(control, params, Limits().check_seconds)
    verdict, text, _ = site.waivers.apply(
        control.id, subject.host, came_to.verdict, came_to.text, site.today, came_to.spared, beside
    )
    if verdict.unproven:
        raise ProbeError(in_language(text, site.language))
    return Outcome(verdict, text)


def _verdict(site: Site, subject: Subject, control: Control) -> Verdict:
    """What another control comes to on the same host, on which this one's waiver relies."""
    if why_not_selected(control, subject.host) is not None:
        return Verdict.NOT_SELECTED
    params = effective(control, subject.host, site.inventory.ledger)
    return subject.examined(control, params, Limits().check_seconds).verdict


def test_control(site: Site, outcome: Outcome) -> None:
    text = in_language(outcome.text, site.language)
    if outcome.verdict is Verdict.WAIVED:
        pytest.xfail(text)
    if outcome.verdict is not Verdict.PASS:
        pytest.fail(text, pytrace=False)
