"""What a trial tries: a control, a scenario, and the engine that applies the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from medsec.catalogue.controls import Control, Scenario
from medsec.text import Text

ENGINES = ("ansible", "pyinfra")


@dataclass(frozen=True)
class Case:
    """One scenario of one control, remedied by one engine."""

    control: Control
    scenario: Scenario
    engine: str

    @property
    def name(self) -> str:
        return f"{self.control.id}-{self.scenario.name}-{self.engine}"

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def other_engine(self) -> str:
        """The twin, which must find nothing left to do."""
        return next(engine for engine in ENGINES if engine != self.engine)


@dataclass(frozen=True)
class Leg:
    """One step of a trial: what was expected, and whether it came true."""

    name: Text
    passed: bool
    detail: str = ""


@dataclass
class Outcome:
    """The legs of one case, in order. A case whose host never came up has a failed first leg."""

    case: Case
    legs: list[Leg] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every leg came true; an outcome without legs proved nothing."""
        return bool(self.legs) and all(leg.passed for leg in self.legs)

    @property
    def failed(self) -> bool:
        return any(not leg.passed for leg in self.legs)


def cases(controls: Iterable[Control], engines: Iterable[str], scenario: str | None = None) -> list[Case]:
    """Return a case for each scenario of each control and engine; controls without a remedy have one check only."""
    return [
        Case(control, found, engine)
        for control in controls
        for found in (*control.violations, *control.compliances)
        if scenario is None or found.name == scenario
        for engine in (list(engines) if control.enforce else list(engines)[:1])
    ]
