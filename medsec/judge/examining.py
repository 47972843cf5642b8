"""Examining one host: what a gate asks first, then every check, gathered where the connection can do so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from medsec.catalogue.controls import Control
from medsec.evidence.findings import CommandRecord, Verdict
from medsec.inventory.effective import Params
from medsec.judge.checks import Outcome, evaluate
from medsec.judge.courses import Courses
from medsec.judge.gathering import Task, gather
from medsec.judge.recording import ConnectedHost

Gate = Callable[[ConnectedHost], Any]


@dataclass(frozen=True)
class Examined:
    """What one check came to, and the commands behind it."""

    control: Control
    outcome: Outcome
    records: list[CommandRecord] = field(repr=False)


def examine(
    connection: ConnectedHost,
    jobs: Sequence[tuple[Control, Params]],
    *,
    seconds: float,
    courses: Courses,
    gate: Gate | None = None,
) -> Iterator[Examined]:
    """Run the check of each control on one host and yield what they came to, in the order in which they end.

    + seconds: what the commands of one check may take in all
    + courses: what checks are likely to ask; it learns from these
    + gate: asked first; what it raises is raised here, and then no check is believed
    """
    if gathers(connection):
        yield from _gathered(connection, jobs, seconds, courses, gate)
    else:
        yield from _in_turn(connection, jobs, seconds, gate)


def gathers(connection: ConnectedHost) -> bool:
    """Return whether the checks of this host can be asked together."""
    return getattr(connection.backend.inner, "exchange", None) is not None


def _gathered(
    connection: ConnectedHost,
    jobs: Sequence[tuple[Control, Params]],
    seconds: float,
    courses: Courses,
    gate: Gate | None,
) -> Iterator[Examined]:
    controls = {control.id: control for control, _ in jobs}
    tasks = [
        Task(control.id, partial(_evaluated, control, params=params, seconds=seconds)) for control, params in jobs
    ]
    for task in gather(connection.backend.inner, tasks, courses, gate=gate):
        outcome, records = task.came_to
        if not outcome.verdict.unproven:
            courses.learn(task.name, task.asked)
        yield Examined(controls[task.name], outcome, records)


def _evaluated(
    control: Control, host: ConnectedHost, *, params: Params, seconds: float
) -> tuple[Outcome, list[CommandRecord]]:
    outcome = evaluate(control, host, params, seconds=seconds)
    return outcome, host.backend.records


def _in_turn(
    connection: ConnectedHost, jobs: Sequence[tuple[Control, Params]], seconds: float, gate: Gate | None
) -> Iterator[Examined]:
    if gate is not None:
        gate(connection)
    down: Outcome | None = None
    for control, params in jobs:
        if down is not None:
            yield Examined(control, down, [])
            continue
        outcome = evaluate(control, connection, params, seconds=seconds)
        if outcome.verdict is Verdict.UNREACHABLE:
            down = outcome
        yield Examined(control, outcome, connection.backend.records)
