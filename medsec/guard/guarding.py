"""The guard over SSH: holds the hosts of a run, saves before each step, proves access after a risky one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from medsec.engines.base import Work
from medsec.engines.guard import Protection
from medsec.errors import MedsecError
from medsec.fleet.schedule import Schedule, side_by_side
from medsec.guard import passwords
from medsec.guard.business import Flow, answering, flows
from medsec.guard.journal import JOURNAL, Entry, Journal
from medsec.guard.session import Change, Session, confirm
from medsec.guard.settings import settings
from medsec.guard.spec import spec
from medsec.inventory import Host, Inventory, effective
from medsec.text import Text, says

Answer = TypeVar("Answer")


@dataclass
class _Held:
    """A host in this run's hands."""

    host: Host
    session: Session
    step: int = 0
    # The flows that worked before the present risky step, and the services that took a password.
    working: list[Flow] = field(default_factory=list)
    entering: set[str] = field(default_factory=set)

    @property
    def number(self) -> str:
        return f"{self.step:02}"


class HostGuard:
    """Protects the hosts of one run (`medsec.engines.guard.Guard`)."""

    def __init__(self, inventory: Inventory, run: Callable[[], Path], engine: str, forks: int = 10) -> None:
        """Make the guard of one run.

        + run: gives the folder of the run that found what is to be changed; asked for when the changes begin
        + engine: what will change the hosts, for the record
        + forks: hosts that are worked on at the same time
        """
        self._inventory = inventory
        self._run_folder = run
        self._engine = engine
        self._forks = forks
        self._held: dict[str, _Held] = {}

    @property
    def _run(self) -> str:
        return self._run_folder().name

    @property
    def _journal(self) -> Journal:
        return Journal(self._run_folder() / JOURNAL)

    @contextmanager
    def hold(self, hosts: Sequence[str]) -> Iterator[Mapping[str, Text]]:
        """Take `hosts`; see `medsec.engines.guard.Guard.hold`. Raises UsageError for a setting out of range."""

        keep = {name: settings(self._inventory.hosts[name]).keep for name in hosts}

        def take(name: str) -> _Held:
            host = self._inventory.hosts[name]
            return _Held(host, Session(host, self._run, keep=keep[name]))

        taken, refused = self._each(hosts, take)
        self._held = taken
        try:
            yield refused
        finally:
            for held in self._held.values():
                with contextlib.suppress(MedsecError, OSError):
                    held.session.close()
            self._held = {}

    @contextmanager
    def around(self, work: Work, *, risky: bool) -> Iterator[Protection]:
        """Protect the hosts of `work`; see `medsec.engines.guard.Guard.around`."""
        protection = Protection()
        saved, protection.refused = self._each(work.todo, lambda name: self._save(work, name, risky))
        yield protection
        _, protection.reverted = self._each(
            saved, lambda name: self._settle(work, name, risky, protection.unfinished.get(name))
        )

    def _save(self, work: Work, name: str, risky: bool) -> None:
        held = self._held[name]
        held.step += 1
        controls = work.ordered(name)
        given = [(control, effective(control, held.host, self._inventory.ledger)) for control in controls]
        held.session.save(held.number, spec(given))
        # First the record that something may be changed, then the change: a controller that dies leaves a trace.
        self._note(work, held, "saved")
        if risky:
            held.working = answering(self._inventory, flows(self._inventory, held.host))
            held.entering = passwords.accepting(held.host) if passwords.concerns(controls) else set()
            held.session.arm(held.number, settings(held.host).seconds)

    def _settle(self, work: Work, name: str, risky: bool, unfinished: Text | None) -> None:
        held = self._held[name]
        if not risky:
            self._note(work, held, "recorded", held.session.record(held.number))
            return
        try:
            self._prove(held, unfinished)
        except MedsecError as error:
            reason = _text(error)
            self._note(work, held, "reverted", reason=reason.en)
            self._revert(held)
            raise MedsecError(
                says(
                    en=f"the change is taken back: {reason.en}",
                    zh=f"该项改动已撤回：{reason.zh}",
                )
            ) from error
        self._note(work, held, "confirmed", held.session.record(held.number))

    def _prove(self, held: _Held, unfinished: Text | None) -> None:
        if unfinished is not None:
            raise MedsecError(unfinished)
        self._require_business(held)
        self._require_passwords(held)
        # Last, since it is what disarms: a controller that dies before it leaves the timer running.
        confirm(held.host, self._run, held.number)

    def _require_business(self, held: _Held) -> None:
        left = answering(self._inventory, held.working)
        gone = [flow.text for flow in held.working if flow not in left]
        if gone:
            raise MedsecError(
                says(
                    en=f"no longer answers: {', '.join(text.en for text in gone)}",
                    zh=f"以下业务不再连通：{'、'.join(text.zh for text in gone)}",
                )
            )

    def _require_passwords(self, held: _Held) -> None:
        shut = sorted(held.entering - passwords.accepting(held.host)) if held.entering else []
        if shut:
            raise MedsecError(
                says(
                    en=f"the right password is refused by: {', '.join(shut)}; it was taken before the change",
                    zh=f"以下服务改动前接受正确口令，改动后拒绝：{'、'.join(shut)}",
                )
            )

    def _revert(self, held: _Held) -> None:
        """Take back at once where the held channel still works; where it does not, the host's own timer does."""
        with contextlib.suppress(MedsecError):
            held.session.revert(held.number)

    def _note(self, work: Work, held: _Held, state: str, changes: Iterable[Change] = (), reason: str = "") -> None:
        controls = [control.id for control in work.ordered(held.host.name)]
        self._journal.add(Entry(held.host.name, held.number, state, controls, self._engine, list(changes), reason))

    def _each(
        self, names: Iterable[str], act: Callable[[str], Answer]
    ) -> tuple[dict[str, Answer], dict[str, Text]]:
        """Act on the hosts side by side; return what came of it, and why it did not where it did not."""
        done: dict[str, Answer] = {}
        failed: dict[str, Text] = {}
        wanted = list(names)

        def one(name: str) -> None:
            try:
                done[name] = act(name)
            except MedsecError as error:
                failed[name] = _text(error)
            except OSError as error:
                failed[name] = says(
                    en=f"host {name}: {self._journal.path}: {error.strerror}; a step that is not recorded is not begun, "
                    "and one that had begun stands as the host has it: make room, then see `medsec rollback`",
                    zh=f"主机 {name}：{self._journal.path}：{error.strerror}；无法留下记录的步骤不会开始，"
                    "已开始的以主机上的备份为准：请腾出空间，再参见 `medsec rollback`",
                )

        groups = ((name, self._inventory.hosts[name].groups) for name in wanted)
        side_by_side(Schedule(groups, self._inventory.site_forks), one, forks=min(self._forks, len(wanted)))
        return done, failed


def _text(error: MedsecError) -> Text:
    return says(en=error.in_language("en"), zh=error.in_language("zh"))
