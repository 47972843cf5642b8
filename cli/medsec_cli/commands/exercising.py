"""`medsec drill emergency` and `medsec drill list`: exercising the emergency plan, and what was drilled before."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from pydantic import Field

from medsec.catalogue.source import Strict, read_yaml, validate
from medsec.drills.exercise import Exercise, given_time
from medsec.drills.exercise_record import Listed, faults, finish, judged, listed, missing
from medsec.drills.scenario import Step, names, scenario
from medsec.errors import MedsecError, UsageError
from medsec.inventory import Inventory, load_inventory
from medsec.text import Language, Text, in_language, says
from medsec_cli.language import Say
from medsec_cli.options import inventory_option

INCOMPLETE = 3


class _Event(Strict):
    step: str
    time: str
    person: str
    note: str = ""


class _Skip(Strict):
    step: str
    reason: str


class _Better(Strict):
    text: str
    owner: str
    due: str


class _Told(Strict):
    """What is told of an exercise without asking: in a file, or by options."""

    events: list[_Event] = Field(default_factory=list)
    skipped: list[_Skip] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    improvements: list[_Better] = Field(default_factory=list)
    conclusion: str = ""


def emergency(say: Say, language: Language) -> click.Command:
    """Return the command `drill emergency`."""
    known = [f"`{name}`" for name in names()]

    @click.command(
        "emergency",
        help=say(
            says(
                en="Exercise the emergency plan step by step, timed, judged and recorded. Without events it asks.",
                zh="按应急预案逐步演练，计时、判定并留存记录。未给出事件时逐项询问。",
            )
        ),
    )
    @inventory_option(say)
    @click.option(
        "--scenario",
        "name",
        metavar="NAME",
        help=say(
            says(
                en=f"One of {', '.join(known)}; or a file of your own.",
                zh=f"可用 {'、'.join(known)}，或自编文件。",
            )
        ),
    )
    @click.option("--resume", metavar="RUN", help=say(says(en="Go on with this exercise.", zh="继续该次演练。")))
    @click.option(
        "--event",
        "events",
        multiple=True,
        metavar="STEP=TIME,PERSON",
        help=say(says(en="A step that was done; may be repeated.", zh="已完成的步骤，可多次使用。")),
    )
    @click.option(
        "--skip",
        "skips",
        multiple=True,
        metavar="STEP=REASON",
        help=say(says(en="A step that was left out, and why.", zh="未执行的步骤及原因。")),
    )
    @click.option("--note", "notes", multiple=True, help=say(says(en="A remark.", zh="备注。")))
    @click.option(
        "--improve",
        "improvements",
        multiple=True,
        metavar="TEXT;OWNER;DUE",
        help=say(says(en="What is to become better, whose it is, by which day.", zh="改进内容;责任人;期限。")),
    )
    @click.option("--conclusion", default="", help=say(says(en="What the exercise showed.", zh="演练结论。")))
    @click.option(
        "--events-file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help=say(says(en="All this as YAML; see docs/emergency.md.", zh="以 `YAML` 文件给出上述内容。")),
    )
    def emergency_(inventory: Path, name: str | None, resume: str | None, **given: Any) -> int:
        found = load_inventory(inventory)
        told = _told(given)
        exercise = _exercise(found, name, resume)
        click.echo(str(exercise.folder), err=True)
        try:
            if any(told.model_dump().values()):
                with exercise.together():
                    _record(exercise, told)
            else:
                _guide(exercise, found, say)
            return _end(exercise, say, language)
        finally:
            exercise.close()

    return emergency_


def list_(say: Say) -> click.Command:
    """Return the command `drill list`."""
    words = {
        "passed": says(en="passed", zh="通过"),
        "failed": says(en="failed", zh="未通过"),
        "not_made": says(en="not made", zh="未完成"),
        "open": says(en="open, --resume goes on", zh="进行中，可用 --resume 继续"),
        "damaged": says(en="CHANGED since it was written", zh="写入之后被改动"),
    }
    kinds = {"restore": says(en="restore", zh="恢复演练"), "emergency": says(en="emergency", zh="应急演练")}

    @click.command(
        "list", help=say(says(en="List the drills kept here, the newest first.", zh="按时间倒序列出演练记录。"))
    )
    def shown() -> int:
        found: Sequence[Listed] = listed(Path.cwd())
        for one in found:
            click.echo(f"{one.id}\t{say(kinds[one.kind])}\t{one.subject}\t{say(words[one.outcome])}")
        return 1 if any(one.outcome == "damaged" for one in found) else 0

    return shown


def _exercise(inventory: Inventory, name: str | None, resume: str | None) -> Exercise:
    if (name is None) == (resume is None):
        raise UsageError(
            says(
                en=f"either --scenario or --resume RUN is needed; scenarios: {', '.join(names())}",
                zh=f"须给出 --scenario 或 --resume RUN 之一；可用场景：{'、'.join(names())}",
            )
        )
    if resume is not None:
        path = Path(resume)
        return Exercise.resume(path if path.is_dir() else Path.cwd() / "drills" / resume)
    institution = inventory.ledger.institution
    return Exercise.begin(Path.cwd(), scenario(name or ""), {"zh": institution.zh, "en": institution.en})


# --- Told beforehand --------------------------------------------------------------------------------------------------


def _told(given: dict[str, Any]) -> _Told:
    """Return what file and options tell. Raises UsageError with the form that is accepted."""
    file = given["events_file"]
    told = _Told() if file is None else validate(_Told, read_yaml(file), str(file))
    events = [*told.events]
    for text in given["events"]:
        parts = re.fullmatch(r"([^=]+)=([^,]+),(.+)", text)
        if parts is None:
            raise _form("--event", text, "manual_outpatient=2026-11-22T10:05,王建国")
        events.append(_Event(step=parts[1], time=parts[2], person=parts[3]))
    skips = [*told.skipped]
    for text in given["skips"]:
        step, equals, reason = text.partition("=")
        if not equals:
            raise _form("--skip", text, "carrier_told=REASON")
        skips.append(_Skip(step=step, reason=reason))
    better = [*told.improvements]
    for text in given["improvements"]:
        pieces = [piece.strip() for piece in re.split("[;；]", text)]
        if len(pieces) != 3:
            raise _form("--improve", text, "TEXT;王建国;2026-12-31")
        better.append(_Better(text=pieces[0], owner=pieces[1], due=pieces[2]))
    return _Told(
        events=events,
        skipped=skips,
        notes=[*told.notes, *given["notes"]],
        improvements=better,
        conclusion=given["conclusion"] or told.conclusion,
    )


def _form(option: str, met: str, accepted: str) -> UsageError:
    return UsageError(
        says(en=f"{option} {met!r}: accepted is {accepted}", zh=f"{option} {met!r}：格式应为 {accepted}")
    )


def _record(exercise: Exercise, told: _Told) -> None:
    times = [given_time(event.time) for event in told.events]
    for event, before, after in zip(told.events[1:], times, times[1:], strict=False):
        if after < before:
            raise UsageError(
                says(
                    en=f"step {event.step}: {event.time} is before the event told ahead of it; times do not run backwards",
                    zh=f"步骤 {event.step}：{event.time} 早于前一事件；时间不能倒退",
                )
            )
    for event, time in zip(told.events, times, strict=True):
        exercise.step(event.step, event.person, time=time, given=True, note=event.note)
    for skip in told.skipped:
        exercise.skip(skip.step, skip.reason)
    for note in told.notes:
        exercise.note(note)
    for better in told.improvements:
        exercise.improve(better.text, better.owner, better.due)
    if told.conclusion:
        exercise.conclude(told.conclusion)


# --- Asked for --------------------------------------------------------------------------------------------------------


def _guide(exercise: Exercise, inventory: Inventory, say: Say) -> None:
    """Ask for one step after the other. The end of the input, or `q`, leaves the exercise open."""
    owners = list(dict.fromkeys(host.ledger.owner for host in inventory.hosts.values()))
    click.echo(f"{say(exercise.scenario.title.text)}\n{say(exercise.scenario.situation.text)}")
    try:
        while exercise.left():
            if not _asked(exercise, exercise.left()[0], owners, say):
                return
        while faults(exercise) and not exercise.improvements:
            _improved(exercise, owners, say)
        if not exercise.conclusion:
            exercise.conclude(click.prompt(say(says(en="Conclusion", zh="结论"))))
    except click.Abort:
        click.echo("")


def _asked(exercise: Exercise, step: Step, owners: list[str], say: Say) -> bool:
    """Ask for one step; return False where the exercise is to be left open."""
    click.echo(f"\n{say(step.title.text)}  {step.clause}")
    if step.due is not None and step.due.after in exercise.done:
        by = step.due.by(exercise.done[step.due.after].time).astimezone()
        click.echo(f"  {say(says(en='by', zh='时限'))} {by:%Y-%m-%d %H:%M:%S}")
    back = (
        exercise.scenario.step(step.unless) if step.unless is not None and step.unless in _open(exercise) else None
    )
    choices = says(
        en="Enter: done now; a time: done then; s: skip; n: note; q: go on later",
        zh="回车：现已完成；输入时间：当时完成；s：跳过；n：备注；q：稍后继续",
    )
    click.echo(f"  {say(choices)}")
    if back is not None:
        click.echo(f"  b{say(says(en=': this comes first: ', zh='：先完成：'))}{say(back.title.text)}")
    answer = click.prompt("  >", default="", show_default=False, prompt_suffix=" ").strip()
    if answer == "q":
        return False
    if answer == "b" and back is not None:
        return _asked(exercise, back, owners, say)
    if answer == "s":
        reason = click.prompt(f"  {say(says(en='Why', zh='原因'))}")
        _tried(lambda: exercise.skip(step.id, reason), say)
    elif answer == "n":
        remark = click.prompt(f"  {say(says(en='Note', zh='备注'))}")
        _tried(lambda: exercise.note(remark), say)
    else:
        # The clock is read at the answer, not after the name is typed.
        now = exercise.now()
        person = _person(step.person.text, owners, say)
        _tried(
            lambda: exercise.step(step.id, person, time=given_time(answer) if answer else now, given=bool(answer)),
            say,
        )
    return True


def _improved(exercise: Exercise, owners: list[str], say: Say) -> None:
    text = click.prompt(say(says(en="What is to become better", zh="改进内容")))
    owner = _person(says(en="owner", zh="责任人"), owners, say)
    due = click.prompt(say(says(en="By which day (2026-12-31)", zh="期限（如 2026-12-31）")))
    _tried(lambda: exercise.improve(text, owner, due), say)


def _open(exercise: Exercise) -> set[str]:
    return {step.id for step in exercise.left()}


def _person(what: Text, owners: Sequence[str], say: Say) -> str:
    """Ask for a person: a number of the ledger's owners, or a name."""
    listed_ = "  ".join(f"{number} {owner}" for number, owner in enumerate(owners, start=1))
    answer = str(click.prompt(f"  {say(what)} ({listed_})")).strip()
    return owners[int(answer) - 1] if answer.isdigit() and 1 <= int(answer) <= len(owners) else answer


def _tried(act: Callable[[], object], say: Say) -> None:
    """Do it; what is refused is told, and asked for again."""
    try:
        act()
    except MedsecError as error:
        click.echo(f"  {say(error.args[0])}", err=True)


# --- The end ----------------------------------------------------------------------------------------------------------


def _end(exercise: Exercise, say: Say, language: Language) -> int:
    """Show what is judged; close the exercise where nothing is missing: 0 in time, 1 not, 3 still open."""
    for entry in judged(exercise):
        click.echo(f"{say(entry.words)}\t{entry.step.id}\t{entry.person}".rstrip())
    left = missing(exercise)
    if left:
        more = says(en=f"; go on with --resume {exercise.id}", zh=f"；请用 --resume {exercise.id} 继续")
        wanted = (", " if language == "en" else "、").join(in_language(text, language) for text in left)
        click.echo(say(says(en="Open. Missing: ", zh="尚未结束，还缺：")) + wanted + say(more), err=True)
        return INCOMPLETE
    click.echo(str(finish(exercise)))
    return 1 if faults(exercise) else 0
