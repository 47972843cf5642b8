"""The small interface behind which both engines change hosts, and what they tell while they work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal, Protocol

from medsec.catalogue.controls import Control, Controls
from medsec.errors import MedsecError
from medsec.evidence.plain import plain, plain_text
from medsec.fleet.schedule import batches
from medsec.inventory import Inventory
from medsec.text import Text

Mode = Literal["apply", "plan"]
EngineName = Literal["ansible", "pyinfra"]


class EngineError(MedsecError):
    """An engine could not do its work at all: it did not start, or it stopped before it had answered."""


class Status(StrEnum):
    """What became of one task on one host."""

    OK = "ok"
    CHANGED = "changed"  # in a plan: would change
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"  # in a plan only: known only after apply


@dataclass(frozen=True)
class Event:
    """One thing that happened; `control` is None for what concerns the host as a whole (login, facts)."""

    host: str
    control: str | None
    task: str
    status: Status
    diff: str | None = None
    # A `Text` in both languages where medsec itself wrote it; a tool's own words are in one language only.
    message: str | None = None

    def __post_init__(self) -> None:
        """Make what a host had its part in safe to show."""
        for name in ("task", "diff", "message"):
            words = getattr(self, name)
            if words is not None:
                safe = plain_text(words) if isinstance(words, Text) else plain(words)
                object.__setattr__(self, name, safe)


@dataclass(frozen=True)
class Work:
    """What an engine is to do: for each host, the controls whose remedies are to run.

    `seconds_per_task` is the longest that one command on a host may take; `seconds_to_connect` the longest that a
    login may take.
    """

    inventory: Inventory
    controls: Controls
    todo: Mapping[str, Sequence[str]]
    mode: Mode
    forks: int = 10
    seconds_per_task: int = 900
    seconds_to_connect: int = 15

    def trimmed(self) -> Work:
        """Return this work without the hosts that have nothing to do."""
        return replace(self, todo={host: controls for host, controls in self.todo.items() if controls})

    def batches(self, hosts: Sequence[str], *, in_all: int | None = None) -> list[list[str]]:
        """Cut `hosts` into lists of which none has more hosts of a site than it bears, and no more than `in_all`."""
        inventory = self.inventory
        groups = {name: inventory.hosts[name].groups for name in hosts}
        return batches(groups, inventory.site_forks, in_all=in_all)

    def ordered(self, host: str) -> list[Control]:
        """Return the controls for `host` in the catalogue's order, late ones last, in which both engines run them."""
        wanted = set(self.todo[host])
        found = [control for control in self.controls.values() if control.id in wanted]
        return sorted(found, key=lambda control: control.late)


@dataclass
class Outcome:
    """What an engine did (or, in a plan, would do) for one control on one host."""

    reached: bool = False  # at least one task ran
    finished: bool = False  # every task ran to its end
    changed: int = 0
    unknown: int = 0
    failed: str | None = None  # why, as the event's message

    def take(self, event: Event) -> None:
        """Count `event` in."""
        self.reached = True
        if event.status is Status.CHANGED:
            self.changed += 1
        elif event.status is Status.UNKNOWN:
            self.unknown += 1
        elif event.status in {Status.FAILED, Status.UNREACHABLE}:
            self.failed = event.message or event.status.value


@dataclass
class EngineResult:
    """What an engine did, by (host, control); every pair that was asked for is in it."""

    outcomes: dict[tuple[str, str], Outcome] = field(default_factory=dict)
    unreachable: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, work: Work) -> EngineResult:
        """Return a result for `work` in which nothing has been reached yet."""
        return cls({(host, control.id): Outcome() for host in work.todo for control in work.ordered(host)})

    def add(self, other: EngineResult) -> None:
        """Take in the result of another run."""
        self.outcomes |= other.outcomes
        self.unreachable |= other.unreachable

    @property
    def changed(self) -> int:
        """The number of changes made (in a plan: foreseen) on all hosts."""
        return sum(outcome.changed for outcome in self.outcomes.values())

    @property
    def failures(self) -> dict[tuple[str, str], Outcome]:
        return {pair: outcome for pair, outcome in self.outcomes.items() if outcome.failed is not None}

    @property
    def complete(self) -> bool:
        """Whether every remedy ran to its end."""
        return all(outcome.finished for outcome in self.outcomes.values())


OnEvent = Callable[[Event], None]


class Engine(Protocol):
    """A way of changing hosts."""

    name: EngineName

    def together(self) -> AbstractContextManager[None]:
        """Let the runs inside the block share what they can: the logins, and what was learned of the hosts."""
        ...

    def run(self, work: Work, on_event: OnEvent) -> EngineResult:
        """Run the remedies of `work`, telling each step to `on_event` as it happens.

        One host's failure never stops another's, and one control's failure never stops the next control's of the
        same host. Raises EngineError when the engine itself does not work, UsageError for wrong parameters.
        """
        ...
