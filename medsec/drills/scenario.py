"""Scenarios of emergency drills: what is pretended, and the steps of the plan with the times they must keep."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from pathlib import Path

from pydantic import Field, model_validator

from medsec.catalogue.source import Bilingual, Strict, read_yaml, validate
from medsec.errors import UsageError
from medsec.resources import root
from medsec.text import says

_HOME = "standards/emergency"


class Due(Strict):
    """By when a step must be done: so many minutes, or by the end of the so-manieth day, after another step."""

    after: str
    minutes: int | None = Field(default=None, ge=0)
    # 0 is the same day, 1 the next; by the controller's calendar.
    days: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _one_of_them(self) -> Due:
        if (self.minutes is None) == (self.days is None):
            raise ValueError("exactly one of minutes and days must be written")
        return self

    def by(self, begun: datetime) -> datetime:
        """Return the last moment that is in time, `begun` being when the other step was done."""
        if self.minutes is not None:
            return begun + timedelta(minutes=self.minutes)
        day = begun.astimezone().date() + timedelta(days=(self.days or 0) + 1)
        return datetime.combine(day, time()).astimezone() - timedelta(seconds=1)


class Step(Strict):
    """A step of the plan."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")
    title: Bilingual
    # Who must be named: who was told, who did it.
    person: Bilingual
    due: Due | None = None
    # The step is not needed where this other one was done within the same time.
    unless: str | None = None
    clause: str = ""


class Scenario(Strict):
    """A scenario. Its first step starts the clock."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")
    title: Bilingual
    situation: Bilingual
    sources: list[str] = Field(min_length=1)
    steps: list[Step] = Field(min_length=2)

    @model_validator(mode="after")
    def _steps_fit_together(self) -> Scenario:
        ids = [step.id for step in self.steps]
        if len(set(ids)) != len(ids):
            raise ValueError("two steps have the same id")
        if self.steps[0].due is not None or self.steps[0].unless is not None:
            raise ValueError("the first step starts the clock: it has neither due nor unless")
        for at, step in enumerate(self.steps):
            if step.due is not None and step.due.after not in ids[:at]:
                raise ValueError(f"step {step.id!r}: due.after names {step.due.after!r}, which is no earlier step")
            if step.unless is not None and (step.unless not in ids or step.due is None):
                raise ValueError(f"step {step.id!r}: unless needs a due of its own and the id of a step")
        return self

    def step(self, name: str) -> Step:
        """Return the step `name`. Raises UsageError naming those that there are."""
        found = next((step for step in self.steps if step.id == name), None)
        if found is None:
            known = ", ".join(step.id for step in self.steps)
            raise UsageError(
                says(
                    en=f"{name!r} is no step of the scenario {self.id}; steps: {known}",
                    zh=f"场景 {self.id} 没有步骤 {name!r}；可用步骤：{known}",
                )
            )
        return found


def names() -> list[str]:
    """Return the ids of the scenarios that medsec brings along, which are the names of their files."""
    return sorted(path.stem for path in (root() / _HOME).glob("*.yml"))


def scenarios() -> dict[str, Scenario]:
    """Return the scenarios that medsec brings along, by their ids."""
    found = [read_scenario(path) for path in sorted((root() / _HOME).glob("*.yml"))]
    return {scenario.id: scenario for scenario in found}


def read_scenario(path: Path) -> Scenario:
    """Return the scenario in `path`. Raises UsageError naming file and field."""
    return validate(Scenario, read_yaml(path), str(path))


def scenario(name: str) -> Scenario:
    """Return the scenario `name`, which may be a file of the site's own. Raises UsageError naming those that there are."""
    if name.endswith((".yml", ".yaml")) and Path(name).is_file():
        return read_scenario(Path(name))
    known = names()
    if name not in known:
        raise UsageError(
            says(
                en=f"--scenario {name!r}: there is no such scenario; accepted: {', '.join(known)}, or a file *.yml of your own",
                zh=f"--scenario {name!r}：没有该场景；可用：{'、'.join(known)}，或自编的 *.yml 文件",
            )
        )
    return read_scenario(root() / _HOME / f"{name}.yml")
