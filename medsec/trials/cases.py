"""What a trial tries: a control, a scenario, and the engine that applies the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def cases(
    controls: Iterable[Control], engines: Sequence[str], scenario: str | None = None, *, in_turn: bool = False
) -> list[Case]:
    """Return the cases of `controls`: each violation once for each engine, each compliant state once.

    A compliant state is shown to both engines in one case. With `in_turn` the engines share the violations between
    them, so that each still remedies some of every control, in half the time.
    """
    found = []
    for control in controls:
        for number, violation in enumerate(control.violations):
            several = engines if control.enforce else engines[:1]
            chosen = [several[number % len(several)]] if in_turn else several
            found += [Case(control, violation, engine) for engine in chosen]
        found += [Case(control, compliance, engines[0]) for compliance in control.compliances]
    return [case for case in found if scenario is None or case.scenario.name == scenario]
