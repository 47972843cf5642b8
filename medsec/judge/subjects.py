"""Hosts under verification by pytest: how a session reaches each, whichever backend it was told to use."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from medsec.catalogue.controls import Control
from medsec.errors import ProbeError
from medsec.evidence.findings import CommandRecord
from medsec.fleet.schedule import Schedule, side_by_side
from medsec.inventory.effective import Params
from medsec.inventory.hosts import Host, Inventory
from medsec.inventory.waivers import Waivers
from medsec.judge.checks import Outcome, evaluate
from medsec.judge.courses import Courses, shipped
from medsec.judge.examining import Examined, examine, gathers
from medsec.judge.identity import identify
from medsec.judge.recording import ConnectedHost
from medsec.text import Language


@dataclass
class Subject:
    """A host under verification and how this session reaches it."""

    host: Host
    open: Callable[[], ConnectedHost]
    hint: str = ""
    opened: ConnectedHost | None = field(default=None, repr=False)
    # What the session is going to ask for; empty again when it was asked.
    wanted: list[tuple[Control, Params]] = field(default_factory=list, repr=False)
    # The commands behind what was asked for last.
    records: list[CommandRecord] = field(default_factory=list, repr=False)
    _refusal: Exception | None = field(default=None, repr=False)
    _examined: dict[str, Examined] = field(default_factory=dict, repr=False)

    def ask(self, courses: Courses, seconds: float) -> None:
        """Ask at once what all wanted controls want to know; what went wrong is told to whoever asks for an outcome."""
        if self._examined or not self.wanted:
            return
        with contextlib.suppress(Exception):  # kept as the refusal, and raised by `connection`
            connection = self.connection()
            if gathers(connection):
                found = examine(connection, self.wanted, seconds=seconds, courses=courses)
                self._examined = {one.control.id: one for one in found}

    def examined(self, control: Control, params: Params, seconds: float) -> Outcome:
        """Return what the check of `control` came to, asking now where `ask` did not. Raises as `connection` does."""
        connection = self.connection()
        if control.id in self._examined:
            one = self._examined[control.id]
            self.records = one.records
            return one.outcome
        outcome = evaluate(control, connection, params, seconds=seconds)
        self.records = connection.backend.records
        return outcome

    def connection(self) -> ConnectedHost:
        """Return the one connection of this session, made and identified on first use."""
        if self._refusal is not None:
            raise self._refusal
        if self.opened is None:
            try:
                self.opened = self.fresh()
                self.records = self.opened.backend.records
            except Exception as error:
                self._refusal = error
                raise
        return self.opened

    def fresh(self) -> ConnectedHost:
        """Return a new connection; raises unless it leads to the registered system, as root."""
        connection = self.open()
        try:
            identify(self.host, connection)
        except ProbeError as error:
            connection.close()
            if self.hint:
                error.add_note(self.hint)
            raise
        return connection

    def close(self) -> None:
        if self.opened is not None:
            self.opened.close()


@dataclass(frozen=True)
class Site:
    """What the session verifies."""

    inventory: Inventory
    controls: list[Control]
    waivers: Waivers
    subjects: list[Subject]
    danger_ports: list[int]
    language: Language
    today: date

    def ask_all(self, *, seconds: float, forks: int = 20) -> None:
        """Ask all hosts what the session wants to know of them, `forks` at a time; what was asked is not asked again."""
        asked = [subject for subject in self.subjects if subject.wanted]
        courses = Courses(shipped())
        schedule = Schedule(((subject, subject.host.groups) for subject in asked), self.inventory.site_forks)
        side_by_side(schedule, lambda subject: subject.ask(courses, seconds), forks=min(forks, len(asked)))
        for subject in asked:
            subject.wanted.clear()
