"""Trials of the controls that only a kernel of its own can prove, on virtual machines. They take long: `make vm-tests`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from medsec.catalogue.controls import load_controls
from medsec.lab import Lab
from medsec.trials.cases import ENGINES, Case, cases
from medsec.trials.trial import run

INDEX = 19
CONTROLS = load_controls(Path(__file__).parents[2] / "roles")
CASES = cases([control for control in CONTROLS.values() if control.proof == "vm"], ENGINES, in_turn=True)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab("vm", INDEX, owner=os.getpid()) as lab:
        yield lab


def test_some_control_needs_a_kernel() -> None:
    assert CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_trial(lab: Lab, case: Case) -> None:
    (outcome,) = run(lab, CONTROLS, [case])
    broken = [f"{leg.name}: {leg.detail}" for leg in outcome.legs if not leg.passed]
    assert not broken, "\n".join(broken)
    assert outcome.passed
