"""Judge, change what does not pass, judge again: what `plan` and `apply` do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from medsec.catalogue.controls import Control, Controls
from medsec.engines.base import Engine, EngineResult, Event, Mode, OnEvent, Status, Work
from medsec.engines.guard import Guard, Unguarded
from medsec.errors import UsageError
from medsec.evidence.findings import Finding, Verdict
from medsec.inventory import Host, Inventory
from medsec.text import Text, in_language, says

# Judges hosts by controls and returns a finding for each pair, as `medsec.judge` does; passed in by the caller, who
# also decides where the evidence goes.
Judge = Callable[[Sequence[Host], Sequence[Control]], Iterable[Finding]]

_NEED_A_REMEDY = frozenset({Verdict.FAIL, Verdict.ERROR})
_TAKE_A_REMEDY = _NEED_A_REMEDY | {Verdict.PASS}


@dataclass(frozen=True)
class Selection:
    """What a plan or an apply speaks of, and how its engine is to run."""

    inventory: Inventory
    hosts: Sequence[Host]
    controls: Controls
    # Run also the remedies of what passes already.
    every: bool = False
    forks: int = 10


@dataclass(frozen=True)
class Planned:
    """What an apply would do; `result` is None where nothing needs doing."""

    findings: list[Finding]
    by_hand: list[Finding]
    result: EngineResult | None


@dataclass(frozen=True)
class Applied:
    """What an apply did.

    `before` and `after` hold a finding for each pair; those of hosts that no engine touched are the same in both.
    `by_hand` are the findings that no remedy exists for (`enforce: false`): somebody must act. `left` are the hosts that
    were not begun, because a batch before them did not pass.
    """

    before: list[Finding]
    by_hand: list[Finding]
    result: EngineResult | None
    after: list[Finding]
    left: list[str] = field(default_factory=list)


def plan(selection: Selection, engine: Engine, *, judge: Judge, on_event: OnEvent) -> Planned:
    """Return what `apply` would do, without doing it.

    Parameters: `judge` gives the findings; `on_event` hears each task's prediction, with its difference. Raises what
    the judge and the engine raise.
    """
    findings = list(judge(selection.hosts, list(selection.controls.values())))
    todo, by_hand = _todo(selection, findings)
    if not todo:
        return Planned(findings, by_hand, None)
    work = _work(selection, todo, "plan")
    result = EngineResult.of(work)
    work = _leave(work, _without_password(work), result, on_event)
    if work.todo:
        result.add(engine.run(work, on_event))
    return Planned(findings, by_hand, result)


def apply(
    selection: Selection,
    engine: Engine,
    *,
    judge: Judge,
    on_event: OnEvent,
    guard: Guard | None = None,
    batch: int | None = None,
) -> Applied:
    """Judge, hand the engine what does not pass, and judge again the hosts that it worked on.

    With `batch`, so many hosts at a time: the next ones are begun only when all that was remedied on these passes.
    An unreachable host is left alone, and a waived control as well: its remedy is what the site has put off. `guard`
    stands around everything; controls with `risk: access` come after the others, late ones last. Raises what the judge,
    the engine and the guard raise.
    """
    controls = list(selection.controls.values())
    before = list(judge(selection.hosts, controls))
    todo, by_hand = _todo(selection, before)
    if not todo:
        return Applied(before, by_hand, None, before)
    names = [host.name for host in selection.hosts if host.name in todo]
    size = batch or len(names)
    result, again, done = EngineResult(), list[Finding](), 0
    while done < len(names) and all(_healed(finding, todo) for finding in again):
        part = names[done : done + size]
        work = _work(selection, {name: todo[name] for name in part}, "apply")
        result.add(_run(work, engine, guard or Unguarded(), on_event))
        again += judge([host for host in selection.hosts if host.name in part], controls)
        done += len(part)
    worked = set(names[:done])
    after = [*(finding for finding in before if finding.host not in worked), *again]
    return Applied(before, by_hand, result, after, names[done:])


def _healed(finding: Finding, todo: Mapping[str, Sequence[str]]) -> bool:
    held = finding.verdict in (Verdict.PASS, Verdict.WAIVED)
    return held or finding.control not in todo.get(finding.host, ())


def _todo(selection: Selection, findings: Iterable[Finding]) -> tuple[dict[str, list[str]], list[Finding]]:
    wanted = _TAKE_A_REMEDY if selection.every else _NEED_A_REMEDY
    todo: dict[str, list[str]] = {}
    by_hand = []
    for finding in findings:
        if selection.controls[finding.control].enforce:
            if finding.verdict in wanted:
                todo.setdefault(finding.host, []).append(finding.control)
        elif finding.verdict in _NEED_A_REMEDY:
            by_hand.append(finding)
    return todo, by_hand


def _work(selection: Selection, todo: Mapping[str, Sequence[str]], mode: Mode) -> Work:
    return Work(selection.inventory, selection.controls, todo, mode, forks=selection.forks)


def _run(work: Work, engine: Engine, guard: Guard, on_event: OnEvent) -> EngineResult:
    result = EngineResult.of(work)
    work = _leave(work, _without_password(work), result, on_event)
    with guard.hold(list(work.todo)) as untaken, engine.together():
        work = _leave(work, untaken, result, on_event)
        for part, risky in _parts(work):
            # A host that was lost on the way is not tried again, and is not asked to put its way in at risk.
            left = _leave(part, result.unreachable, result, on_event)
            if not left.todo:
                continue
            with guard.around(left, risky=risky) as protection:
                protected = _leave(left, protection.refused, result, on_event)
                if protected.todo:
                    done = engine.run(protected, on_event)
                    result.add(done)
                    protection.unfinished = _unfinished(done)
            _taken_back(left, protection.reverted, result, on_event)
    return result


def _without_password(work: Work) -> dict[str, Text]:
    """Return the hosts whose password for sudo is named and cannot be had, with the reason."""
    found = {}
    for name in work.todo:
        password = work.inventory.hosts[name].login.password
        try:
            if password is not None:
                password.reveal()
        except UsageError as error:
            found[name] = says(en=error.in_language("en"), zh=error.in_language("zh"))
    return found


def _unfinished(result: EngineResult) -> dict[str, Text]:
    return {
        host: says(en=str(outcome.failed or "not finished"), zh=in_language(outcome.failed or "未完成", "zh"))
        for (host, _), outcome in result.outcomes.items()
        if outcome.failed is not None or not outcome.finished
    }


def _parts(work: Work) -> Iterator[tuple[Work, bool]]:
    """Yield what is run together, in its order, and whether it may lock out.

    Risky controls come one by one, so that each is wholly there or wholly taken back, and on no more hosts at a time
    than the engine works on at once, of a site and in all, so that no timer runs while a host waits for its turn.
    """
    risky = [control for control in work.controls.values() if control.risk == "access"]
    chosen = {host: set(controls) for host, controls in work.todo.items()}
    late = {control.id for control in work.controls.values() if control.late}
    if not any(control.id in ids for control in risky for ids in chosen.values()):
        late = set()  # nothing comes between: one part is enough
    names = {control.id for control in risky}
    yield _only(work, lambda control: control not in names | late), False
    for control in risky:
        hosts = [host for host, ids in chosen.items() if control.id in ids]
        for batch in work.batches(hosts, in_all=work.forks):
            yield replace(work, todo={host: [control.id] for host in batch}), True
    yield _only(work, lambda control: control in late), False


def _only(work: Work, wanted: Callable[[str], bool]) -> Work:
    todo = {host: [control for control in controls if wanted(control)] for host, controls in work.todo.items()}
    return replace(work, todo=todo).trimmed()


def _taken_back(work: Work, hosts: Mapping[str, Text], result: EngineResult, on_event: OnEvent) -> None:
    for host, reason in hosts.items():
        for control in work.ordered(host):
            event = Event(host, control.id, "guard", Status.FAILED, message=reason)
            outcome = result.outcomes[host, control.id]
            outcome.take(event)
            outcome.finished = False
            on_event(event)


def _leave(work: Work, hosts: Mapping[str, str], result: EngineResult, on_event: OnEvent) -> Work:
    """Return `work` without `hosts`, and tell for each of their controls why it is left alone."""
    for host in [name for name in work.todo if name in hosts]:
        for control in work.ordered(host):
            event = Event(host, control.id, "guard", Status.FAILED, message=hosts[host])
            result.outcomes[host, control.id].take(event)
            on_event(event)
    return replace(work, todo={host: controls for host, controls in work.todo.items() if host not in hosts})
