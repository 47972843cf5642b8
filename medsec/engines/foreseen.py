"""What a plan foresees, folded for people: by control, each step once with all the hosts that it is the same on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from medsec.catalogue.controls import Control
from medsec.engines.base import Event, Status
from medsec.engines.planning import Planned
from medsec.evidence.findings import Finding, Verdict
from medsec.evidence.plain import plain
from medsec.evidence.redaction import redacted
from medsec.text import Text

# What is worth showing of a plan: `ok` changes nothing.
_SHOWN = frozenset({Status.CHANGED, Status.UNKNOWN, Status.FAILED})


@dataclass(frozen=True)
class Step:
    """One task, foreseen in the same way (the same difference to the byte) on each of `hosts`."""

    status: Status
    task: str
    diff: str | None
    message: str | None
    hosts: list[str]


@dataclass(frozen=True)
class ControlPlan:
    """What the remedy of one control would do, on `hosts` altogether."""

    control: Control
    hosts: list[str]
    # What the judge met, with the hosts on which it met just that.
    met: list[tuple[Text, list[str]]]
    steps: list[Step]
    # Hosts on which the control does not pass and the engine foresees nothing at all.
    nothing: list[str]


@dataclass
class HostSums:
    """What is foreseen for one host, in numbers."""

    controls: int = 0
    changes: int = 0
    unknown: int = 0
    by_hand: int = 0
    waived: int = 0


@dataclass(frozen=True)
class Foreseen:
    """A plan as people read it; nothing that was asked for is left out of it."""

    controls: list[ControlPlan]
    by_hand: list[Finding]
    waived: list[Finding]
    # Hosts by the control that their profile leaves out.
    not_selected: dict[str, list[str]]
    # Hosts for which nothing could be foreseen, and why.
    unplanned: dict[str, str]
    hosts: dict[str, HostSums] = field(default_factory=dict)

    @property
    def changes(self) -> int:
        return sum(sums.changes for sums in self.hosts.values())

    @property
    def unknown(self) -> int:
        return sum(sums.unknown for sums in self.hosts.values())


def foreseen(
    planned: Planned, events: Iterable[Event], hosts: Sequence[str], controls: Mapping[str, Control]
) -> Foreseen:
    """Return `planned` and the engine's `events` folded; what hosts say in them is made safe to show.

    `hosts` and `controls` are all that the plan was asked about, in the order in which they are to be shown.
    """
    result = planned.result
    unplanned: dict[str, str] = {f.host: f.text for f in planned.findings if f.verdict is Verdict.UNREACHABLE}
    unplanned |= result.unreachable if result is not None else {}
    told: dict[str, dict[str, list[Event]]] = {}
    for event in _with_silent_failures(planned, events):
        if event.control is not None and event.status in _SHOWN and event.host not in unplanned:
            told.setdefault(event.control, {}).setdefault(event.host, []).append(event)
    asked: dict[str, list[str]] = {}
    for host, control in result.outcomes if result is not None else ():
        if host not in unplanned:
            asked.setdefault(control, []).append(host)
    plans = [
        _control_plan(controls[name], planned.findings, sorted(asked[name], key=hosts.index), told.get(name, {}))
        for name in controls
        if name in asked
    ]
    waived = [finding for finding in planned.findings if finding.verdict is Verdict.WAIVED]
    left_out: dict[str, list[str]] = {}
    for finding in planned.findings:
        if finding.verdict is Verdict.NOT_SELECTED:
            left_out.setdefault(finding.control, []).append(finding.host)
    return Foreseen(
        controls=[plan for plan in plans if plan.steps or plan.nothing],
        by_hand=planned.by_hand,
        waived=waived,
        not_selected=left_out,
        unplanned={host: _safe(unplanned[host]) for host in hosts if host in unplanned},
        hosts={host: _sums(host, planned, waived) for host in hosts if host not in unplanned},
    )


def _with_silent_failures(planned: Planned, events: Iterable[Event]) -> Iterable[Event]:
    """Yield `events`, and one for each remedy that could not be foreseen and said nothing of it."""
    said = set()
    for event in events:
        if event.status is Status.FAILED:
            said.add((event.host, event.control))
        yield event
    for (host, control), outcome in planned.result.failures.items() if planned.result is not None else ():
        if (host, control) not in said:
            yield Event(host, control, "-", Status.FAILED, message=outcome.failed)


def _control_plan(
    control: Control, findings: Iterable[Finding], hosts: Sequence[str], told: Mapping[str, Sequence[Event]]
) -> ControlPlan:
    found = {finding.host: finding for finding in findings if finding.control == control.id}
    met: dict[str, tuple[Text, list[str]]] = {}
    for host in hosts:
        met.setdefault(found[host].text.en, (found[host].text, []))[1].append(host)
    nothing = [host for host in hosts if host not in told and found[host].verdict is not Verdict.PASS]
    return ControlPlan(control, list(hosts), list(met.values()), _folded(hosts, told), nothing)


def _folded(hosts: Sequence[str], told: Mapping[str, Sequence[Event]]) -> list[Step]:
    """Return the steps of all hosts, each step once, in an order that is that of every host."""
    steps: list[Step] = []
    for host in hosts:
        place = 0
        for event in told.get(host, ()):
            new = _step(event)
            same = next((index for index, step in enumerate(steps) if _same(step, new)), None)
            if same is None:
                # Beside what the same task does on other hosts.
                place = max([place, *(at + 1 for at, step in enumerate(steps) if step.task == new.task)])
                steps.insert(place, new)
                same = place
            elif host not in steps[same].hosts:
                steps[same].hosts.append(host)
            place = same + 1
    return steps


def _step(event: Event) -> Step:
    diff, message = (None if words is None else _safe(words) for words in (event.diff, event.message))
    return Step(event.status, event.task, diff, message, [event.host])


def _same(one: Step, other: Step) -> bool:
    return (one.status, one.task, one.diff, one.message) == (other.status, other.task, other.diff, other.message)


def _sums(host: str, planned: Planned, waived: Iterable[Finding]) -> HostSums:
    sums = HostSums(
        by_hand=sum(finding.host == host for finding in planned.by_hand),
        waived=sum(finding.host == host for finding in waived),
    )
    for (name, _), outcome in planned.result.outcomes.items() if planned.result is not None else ():
        if name == host:
            sums.controls += 1
            sums.changes += outcome.changed
            sums.unknown += outcome.unknown
    return sums


def _safe(words: str) -> str:
    """Return a host's words without secrets and without what would steer a terminal."""
    if isinstance(words, Text):
        return Text(redacted(plain(words.en)), redacted(plain(words.zh)))
    return redacted(plain(words))
