"""Judging hosts: every control on every host, several hosts at a time, none held up by another."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from medsec.catalogue.controls import Control
from medsec.errors import HostUnreachable, LinkFailed, MedsecError, ProbeError
from medsec.evidence.conclusion import Conclusion, conclude
from medsec.evidence.findings import CommandRecord, Finding, Verdict, WaiverNote
from medsec.evidence.plain import plain, plain_text
from medsec.fleet.schedule import Schedule
from medsec.inventory.effective import Params, effective
from medsec.inventory.hosts import Host, Inventory
from medsec.inventory.local import needs_ledger
from medsec.inventory.profile import why_not_selected
from medsec.inventory.waivers import Waivers
from medsec.judge.applicability import (
    applies_to,
    of_another_kind,
    why_not_applicable,
    why_not_registered,
)
from medsec.judge.checks import Outcome
from medsec.judge.courses import Courses, shipped
from medsec.judge.examining import Examined, examine
from medsec.judge.identity import Identity, identify
from medsec.judge.recording import ConnectedHost
from medsec.judge.ssh import SshTransport
from medsec.judge.transport import Limits, Transport
from medsec.text import Text, says


@dataclass(frozen=True)
class HostDone:
    """All controls of a host have their findings; `identity` is None where it was not reached or not understood."""

    host: str
    identity: Identity | None
    # Logins that it took, those that failed among them.
    tries: int = 1


@dataclass(frozen=True)
class RunResult:
    """The findings of a run, in the order of hosts and controls, and who the hosts said they were."""

    findings: list[Finding]
    identities: dict[str, Identity | None]
    started: datetime
    finished: datetime
    # Pairs of host and control that the run set out to judge; fewer findings mean that it was cut short.
    planned: int = field(default=0)

    @property
    def conclusion(self) -> Conclusion:
        return conclude(self.findings, planned=self.planned)

    @property
    def exit_code(self) -> int:
        return self.conclusion.exit_code


@dataclass(frozen=True)
class _Work:
    """One host's share: the unit that a worker takes."""

    host: Host
    controls: Sequence[Control]
    params: dict[str, Params]
    waivers: Waivers
    today: date
    registered: bool
    # How often it may still be tried again when its link fails, and how often it was tried.
    retries: int
    tries: int = 1
    # Who it was when it was judged in part, and what came of that part.
    before: Identity | None = None
    judged: Mapping[str, Verdict] = field(default_factory=dict)


def judge(
    inventory: Inventory,
    hosts: Sequence[Host],
    controls: Sequence[Control],
    *,
    transport: Transport | None = None,
    forks: int = 10,
    retries: int = 1,
    on_finding: Callable[[Finding], None] | None = None,
    waivers: Waivers | None = None,
    limits: Limits | None = None,
    today: date | None = None,
) -> RunResult:
    """Judge `controls` on `hosts` and return every finding, one per host and control.

    `on_finding` is called in the caller's thread, as findings come. Raises UsageError before any host is contacted
    when a parameter is wrong. Nothing that one host does touches another's findings.
    """
    started = datetime.now(UTC)
    findings: list[Finding] = []
    identities: dict[str, Identity | None] = {}
    for event in stream(
        inventory,
        hosts,
        controls,
        transport=transport,
        forks=forks,
        retries=retries,
        waivers=waivers,
        limits=limits,
        today=today,
    ):
        if isinstance(event, HostDone):
            identities[event.host] = event.identity
            continue
        findings.append(event)
        if on_finding is not None:
            on_finding(event)
    place = {host.name: index for index, host in enumerate(hosts)}
    order = {control.id: index for index, control in enumerate(controls)}
    findings.sort(key=lambda finding: (place[finding.host], order[finding.control]))
    return RunResult(findings, identities, started, datetime.now(UTC), planned=len(hosts) * len(controls))


def stream(
    inventory: Inventory,
    hosts: Sequence[Host],
    controls: Sequence[Control],
    *,
    transport: Transport | None = None,
    forks: int = 10,
    retries: int = 1,
    waivers: Waivers | None = None,
    limits: Limits | None = None,
    today: date | None = None,
) -> Iterator[Finding | HostDone]:
    """Yield findings as they come, and `HostDone` after the last one of each host. Memory does not grow with hosts.

    + forks: hosts that are judged at once; of a group no more than its `medsec_site_forks`
    + retries: how often a host whose link fails is tried again, behind all others; what was judged by then stays
    """
    limits = limits or Limits()
    transport = transport or SshTransport(limits)
    waivers = Waivers.none() if waivers is None else waivers
    today = today or date.today()
    params = parameters(inventory, hosts, controls)
    registered = inventory.registered
    todo = Schedule(
        (
            (_Work(host, controls, params[host.name], waivers, today, registered, retries), host.groups)
            for host in hosts
        ),
        inventory.site_forks,
    )
    # Bounded, so that a slow reader (a disk) slows the workers down instead of filling memory.
    results: queue.Queue[Finding | HostDone] = queue.Queue(maxsize=200)
    stop = threading.Event()
    courses = Courses(shipped())
    for _ in range(max(1, min(forks, len(hosts)))):
        # Daemons: after Ctrl-C the process ends without waiting for a host that does not answer.
        threading.Thread(
            target=_worker, args=(todo, results, stop, transport, limits, courses), daemon=True
        ).start()
    waiting = len(hosts)
    try:
        while waiting:
            event = results.get()
            waiting -= isinstance(event, HostDone)
            yield event
    finally:
        stop.set()
        todo.stop()


def parameters(
    inventory: Inventory, hosts: Iterable[Host], controls: Sequence[Control]
) -> dict[str, dict[str, Params]]:
    """Return the parameters in force, by host and by each control that applies to it.

    Raises UsageError when a value is wrong.
    """
    return {
        host.name: {c.id: effective(c, host, inventory.ledger) for c in controls if applies_to(c, host)}
        for host in hosts
    }


def _worker(
    todo: Schedule[_Work],
    results: queue.Queue[Finding | HostDone],
    stop: threading.Event,
    transport: Transport,
    limits: Limits,
    courses: Courses,
) -> None:
    for turn in todo.turns():
        for event in _whatever_happens(turn.job, transport, limits, courses):
            if stop.is_set():
                return
            if isinstance(event, _Work):
                todo.again(turn, event)
            else:
                results.put(event)


def _whatever_happens(
    work: _Work, transport: Transport, limits: Limits, courses: Courses
) -> Iterator[Finding | HostDone | _Work]:
    """Yield the events of one host; a defect of the judge ends this host, with findings missing, and not the run."""
    try:
        yield from _judge_host(work, transport, limits, courses)
    except Exception:  # noqa: BLE001 - what is missing is counted: the run's conclusion is `incomplete`
        yield HostDone(work.host.name, None, work.tries)


def _judge_host(
    work: _Work, transport: Transport, limits: Limits, courses: Courses
) -> Iterator[Finding | HostDone | _Work]:
    """Yield the findings of one host, those that the ledger decides last: it counts only for a host that is the registered one.

    Behind them come those whose waiver relies on others. Where the link fails and may be tried again, the last event is what is
    left of the work.
    """
    connection: ConnectedHost | None = None
    known = _Known(work)
    waiting = {control.id: control for control in work.controls}
    judged = dict(work.judged)
    cut: list[Examined] = []
    held: dict[str, Examined] = {}
    down: Outcome | None = None
    failed = False
    try:
        connection = transport.connect(work.host)
    except BaseException as error:  # noqa: BLE001 - whatever happened, each control of this host gets its finding
        down, failed = _cannot_begin(work.host, error), isinstance(error, LinkFailed)
    if connection is not None:
        examined = examine(
            connection,
            [
                (control, work.params[control.id])
                for control in work.controls
                if _by_ledger(work, control, None) is None
            ],
            seconds=limits.check_seconds,
            courses=courses,
            gate=known.identify,
        )
        while down is None and (found := _next(examined)) is not None:
            if not isinstance(found, Examined):
                down, failed = _cannot_begin(work.host, found), isinstance(found, LinkFailed)
            elif found.outcome.verdict is Verdict.UNREACHABLE:
                cut.append(found)
            elif work.waivers.relied_on(found.control.id, work.host.name):
                held[found.control.id] = found
            else:
                finding = _finding(work, waiting.pop(found.control.id), found.outcome, found.records)
                judged[finding.control] = finding.verdict
                yield finding
        _close(connection)
    if (failed or cut) and work.retries:
        left = tuple(waiting.values())
        yield replace(
            work,
            controls=left,
            retries=work.retries - 1,
            tries=work.tries + 1,
            before=known.identity,
            judged=judged,
        )
        return
    for one in cut:
        finding = _finding(work, waiting.pop(one.control.id), one.outcome, one.records)
        judged[finding.control] = finding.verdict
        yield finding
    for control in waiting.values():
        if control.id in held:
            continue
        outcome = _by_ledger(work, control, down) or down or _not_examined(work.host)
        finding = _finding(work, control, outcome, [])
        judged[finding.control] = finding.verdict
        yield finding
    for one in held.values():
        yield _finding(work, one.control, one.outcome, one.records, judged)
    yield HostDone(work.host.name, known.identity, work.tries)


class _Known:
    """Who a host says it is; at a further try it must be the one that was judged before."""

    def __init__(self, work: _Work) -> None:
        self._host = work.host
        self.identity = work.before

    def identify(self, connection: ConnectedHost) -> None:
        """Ask the host. Raises ProbeError as `identify` does, and where another machine answers than before."""
        now = identify(self._host, connection)
        before = self.identity or now
        if (now.machine, now.host_key) != (before.machine, before.host_key):
            raise ProbeError(
                says(
                    en=f"host {self._host.name}: another machine answers than before the connection broke off "
                    f"({now.hostname} instead of {before.hostname}); find out which one is registered, and verify again",
                    zh=f"主机 {self._host.name}：连接中断后应答的是另一台机器（{now.hostname}，之前为 {before.hostname}）；"
                    "请查明台账登记的是哪一台，再重新核查",
                )
            )
        self.identity = now


def _next(examined: Iterator[Examined]) -> Examined | BaseException | None:
    try:
        return next(examined, None)
    except BaseException as error:  # noqa: BLE001 - a defect of the judge is an error of these checks, and no silence
        return error


def _close(connection: ConnectedHost) -> None:
    try:
        connection.close()
    except Exception:  # noqa: BLE001 - every verdict is given by then
        return


def _cannot_begin(host: Host, error: BaseException) -> Outcome:
    verdict = Verdict.UNREACHABLE if isinstance(error, HostUnreachable) else Verdict.ERROR
    if isinstance(error, MedsecError) and error.args and isinstance(error.args[0], Text):
        return Outcome(verdict, plain_text(error.args[0]))
    reason = plain(f"{type(error).__name__}: {error}")
    return Outcome(
        verdict,
        says(en=f"host {host.name}: cannot be judged: {reason}", zh=f"主机 {host.name}：无法检查：{reason}"),
    )


def _by_ledger(work: _Work, control: Control, down: Outcome | None) -> Outcome | None:
    """Return what ledger and profile decide without asking the host; None where the host decides."""
    if not work.registered and work.host.ledger.kind in control.applies_to.kinds:
        gap = needs_ledger(control, work.host)
        if gap is not None:
            return Outcome(Verdict.ERROR, gap)
    reason = why_not_applicable(control, work.host)
    if reason is not None and (down is None or of_another_kind(control, work.host)):
        return Outcome(Verdict.NOT_APPLICABLE, reason)
    left_out = why_not_registered(control, work.host) or why_not_selected(control, work.host)
    return None if left_out is None else Outcome(Verdict.NOT_SELECTED, left_out)


def _not_examined(host: Host) -> Outcome:
    return _cannot_begin(host, RuntimeError("the check was not run"))


def _finding(
    work: _Work,
    control: Control,
    outcome: Outcome,
    records: list[CommandRecord],
    judged: Mapping[str, Verdict] | None = None,
) -> Finding:
    note: WaiverNote | None = None
    try:
        verdict, text, note = work.waivers.apply(
            control.id, work.host, outcome.verdict, outcome.text, work.today, outcome.spared, judged
        )
    except Exception as error:  # noqa: BLE001 - a defect of the judge is an error of this check, and no silence
        defect = _cannot_begin(work.host, error)
        verdict, text = defect.verdict, defect.text
    if verdict is Verdict.UNREACHABLE and work.tries > 1:
        text = says(en=f"{text.en} (tried {work.tries} times)", zh=f"{text.zh}（共尝试 {work.tries} 次）")
    return Finding(
        host=work.host.name,
        control=control.id,
        item=control.item,
        verdict=verdict,
        text=text,
        started=records[0].started if records else datetime.now(UTC),
        seconds=round(sum(record.seconds for record in records), 3),
        evidence=records,
        waiver=note,
    )
