"""Every control, every scenario, each engine, on fresh hosts: violated, failed, remedied, passed, nothing else touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from medsec.catalogue.controls import Control, Controls, load_controls
from medsec.lab import Lab
from medsec.trials.cases import ENGINES, cases
from medsec.trials.trial import run

CONTROLS = load_controls(Path(__file__).parents[2] / "roles")
# What only a kernel of its own can prove is tried in tests/vm, by `make vm-tests`: emulation takes long.
HERE = {name: control for name, control in CONTROLS.items() if control.proof != "vm"}


@pytest.fixture(scope="module")
def controls() -> Controls:
    return CONTROLS


@pytest.mark.parametrize("control", HERE.values(), ids=list(HERE))
def test_trial(lab: Lab, controls: Controls, control: Control) -> None:
    """The engines take the violations in turn; `medsec trial` gives each violation to both."""
    todo = cases([control], ENGINES, in_turn=True)
    engines = {case.engine for case in todo}
    assert engines == set(ENGINES) or not control.enforce, "each engine must remedy at least one violation"
    outcomes = run(lab, controls, todo)
    broken = [
        f"{outcome.case.name}: {leg.name}: {leg.detail}"
        for outcome in outcomes
        for leg in outcome.legs
        if not leg.passed
    ]
    assert not broken, "\n".join(broken)
    assert all(outcome.passed for outcome in outcomes)
