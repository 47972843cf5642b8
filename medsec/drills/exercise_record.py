"""What an emergency exercise leaves: thresholds judged, and a folder to be read and signed."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from medsec.drills.exercise import SESSION, Exercise
from medsec.drills.record import RECORD, SUMS, load
from medsec.drills.scenario import Step
from medsec.errors import MedsecError, UsageError
from medsec.text import Language, Text, says

SCHEMA = "medsec.emergency/1"


class Standing(StrEnum):
    """How a step stands against its threshold."""

    IN_TIME = "in_time"
    LATE = "late"
    # It has no threshold of its own.
    DONE = "done"
    SPARED = "spared"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Judged:
    """A step with what became of it."""

    step: Step
    standing: Standing
    due: datetime | None = None
    late_minutes: int = 0
    time: datetime | None = None
    person: str = ""
    note: str = ""
    by_clock: bool = True

    @property
    def words(self) -> Text:
        return {
            Standing.IN_TIME: says(en="in time", zh="按时"),
            Standing.LATE: says(en=f"late by {self.late_minutes} min", zh=f"超时 {self.late_minutes} 分钟"),
            Standing.DONE: says(en="done", zh="已完成"),
            Standing.SPARED: says(en="not needed", zh="未触发"),
            Standing.SKIPPED: says(en="skipped", zh="未执行"),
        }[self.standing]


def judged(exercise: Exercise) -> list[Judged]:
    """Return each step of which something is known, in the plan's order."""
    done, skipped = exercise.done, exercise.skipped
    found = []
    for step in exercise.scenario.steps:
        by = step.due.by(done[step.due.after].time) if step.due is not None and step.due.after in done else None
        if step.id in done:
            entry = done[step.id]
            late = 0 if by is None else max(0, math.ceil((entry.time - by).total_seconds() / 60))
            standing = Standing.DONE if by is None else Standing.LATE if late else Standing.IN_TIME
            found.append(Judged(step, standing, by, late, entry.time, entry.person, entry.note, entry.by_clock))
        elif step.id in skipped:
            found.append(Judged(step, Standing.SKIPPED, by, note=skipped[step.id]))
        elif exercise.spared(step):
            found.append(Judged(step, Standing.SPARED, by))
    return found


def faults(exercise: Exercise) -> list[Judged]:
    """Return the steps that came late or were left out."""
    return [entry for entry in judged(exercise) if entry.standing in (Standing.LATE, Standing.SKIPPED)]


def missing(exercise: Exercise) -> list[Text]:
    """Return what the exercise still needs before it can be closed."""
    found = [
        says(en=f"step {step.id} ({step.title.en})", zh=f"步骤 {step.id}（{step.title.zh}）")
        for step in exercise.left()
    ]
    if not exercise.conclusion:
        found.append(says(en="a conclusion (--conclusion)", zh="结论（--conclusion）"))
    if faults(exercise) and not exercise.improvements:
        found.append(
            says(
                en="an improvement for what was late or left out (--improve)",
                zh="针对超时或未执行步骤的改进项（--improve）",
            )
        )
    return found


def finish(exercise: Exercise) -> Path:
    """Close the exercise: write its record into its folder, SHA256SUMS last, and return the folder.

    record.json holds the digest of the session's events and of the record of the exercise before it. Raises UsageError
    while something is missing.
    """
    if missing(exercise):
        raise UsageError(says(en="the exercise is not complete", zh="演练尚未完成"))
    folder = exercise.folder
    value = _value(exercise)
    session = (folder / SESSION).read_text(encoding="utf-8")
    files = {
        RECORD: _json(value),
        "record.zh.txt": rendered(exercise, "zh"),
        "record.en.txt": rendered(exercise, "en"),
    }
    sums = "".join(f"{_digest(text)}  {name}\n" for name, text in {**files, SESSION: session}.items())
    for name, text in {**files, SUMS: sums}.items():
        half = folder / f".{name}.new"
        with os.fdopen(
            os.open(half, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8"
        ) as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        half.replace(folder / name)
    return folder


def _value(exercise: Exercise) -> dict[str, Any]:
    begun = exercise.begun
    return {
        "schema": SCHEMA,
        "id": exercise.id,
        "institution": begun["institution"],
        "operator": begun["operator"],
        "controller": begun["controller"],
        "scenario": begun["scenario"]["id"],
        "sources": begun["scenario"]["sources"],
        "started": begun["time"],
        "finished": exercise.events[-1]["recorded"],
        "steps": [
            {
                "id": entry.step.id,
                "standing": entry.standing.value,
                "time": entry.time.isoformat() if entry.time else None,
                "due": entry.due.isoformat() if entry.due else None,
                "late_minutes": entry.late_minutes,
                "person": entry.person,
                "note": entry.note,
                "by_clock": entry.by_clock,
            }
            for entry in judged(exercise)
        ],
        "notes": [event["text"] for event in exercise.events if event["kind"] == "note"],
        "clock_set_seconds": [event["seconds"] for event in exercise.events if event["kind"] == "clock"],
        "improvements": [
            {"text": entry.text, "owner": entry.owner, "due": entry.due.isoformat()}
            for entry in exercise.improvements
        ],
        "conclusion": exercise.conclusion,
        "outcome": "failed" if faults(exercise) else "passed",
        "session_sha256": hashlib.sha256((exercise.folder / SESSION).read_bytes()).hexdigest(),
        "previous": _previous(exercise.folder),
    }


def _previous(folder: Path) -> dict[str, str] | None:
    """Return id and digest of the newest closed exercise before this one."""
    for other in sorted(folder.parent.glob("*/"), reverse=True):
        if other.name != folder.name and (other / SESSION).is_file() and (other / SUMS).is_file():
            return {"id": other.name, "record_sha256": hashlib.sha256((other / RECORD).read_bytes()).hexdigest()}
    return None


def rendered(exercise: Exercise, language: Language) -> str:
    """Return the record as a person reads and signs it."""

    def say(en: str, zh: str) -> str:
        return zh if language == "zh" else en

    colon = say(": ", "：")
    scenario, begun = exercise.scenario, exercise.begun
    entries = judged(exercise)
    bad = faults(exercise)
    lines = [
        say("Record of an emergency exercise", "应急演练记录"),
        "",
        say("Institution", "机构") + colon + begun["institution"][language],
        say("Exercise", "演练编号") + colon + exercise.id,
        say("Scenario", "演练场景") + colon + scenario.title.text.in_language(language),
        say("Situation", "情景") + colon + scenario.situation.text.in_language(language),
        say("By", "依据") + colon + say("; ", "；").join(scenario.sources),
        say("Operator", "记录人") + colon + f"{begun['operator']} @ {begun['controller']}",
        say("Head of the exercise (sign)", "演练负责人（签字）") + colon + "____________",
        "",
        say("Steps", "演练步骤"),
    ]
    for entry in entries:
        when = (
            "-"
            if entry.time is None
            else _local(entry.time) + ("" if entry.by_clock else say(" (given)", "（补记）"))
        )
        due = "" if entry.due is None else say(f", due {_local(entry.due)}", f"，限 {_local(entry.due)}")
        lines.append(f"  [{entry.words.in_language(language)}] {entry.step.title.text.in_language(language)}")
        lines.append(f"      {when}{due}  {entry.person}".rstrip())
        if entry.note:
            lines.append(f"      {entry.note}")
        if entry.step.clause:
            lines.append(f"      {entry.step.clause}")
    lines += _rest(exercise, bad, say, colon)
    return "\n".join(lines) + "\n"


def _rest(exercise: Exercise, bad: list[Judged], say: Any, colon: str) -> list[str]:
    lines = []
    jumps = [event["seconds"] for event in exercise.events if event["kind"] == "clock"]
    notes = [event for event in exercise.events if event["kind"] == "note"]
    if notes:
        lines += [
            "",
            say("Notes", "备注"),
            *(f"  {_local(_iso(event['time']))}  {event['text']}" for event in notes),
        ]
    if jumps:
        shown = ", ".join(f"{seconds:+.0f} s" for seconds in jumps)
        lines += [
            "",
            say(
                "The controller's clock was set meanwhile; times go on by its monotonic clock",
                "演练期间管理机时钟被调整，计时以单调时钟为准",
            )
            + colon
            + shown,
        ]
    lines += ["", say("Improvements", "改进项")]
    lines += [f"  {entry.text}  {entry.owner}  {entry.due.isoformat()}" for entry in exercise.improvements] or [
        say("  none", "  无")
    ]
    count = len(bad)
    verdict = (
        say(f"{count} steps late or left out", f"{count} 个步骤超时或未执行")
        if bad
        else say("all thresholds were kept", "各项时限均已达到")
    )
    return [*lines, "", say("Conclusion", "结论") + colon + f"{verdict}{say('. ', '。')}{exercise.conclusion}"]


@dataclass(frozen=True)
class Listed:
    """A drill that was kept, of either kind."""

    id: str
    kind: str
    subject: str
    outcome: str


def listed(site: Path) -> list[Listed]:
    """Return the drills kept below `site`, the newest first; one that was changed since has the outcome `damaged`."""
    return [_listed(folder) for folder in sorted((site / "drills").glob("[0-9]*/"), reverse=True)]


def _listed(folder: Path) -> Listed:
    emergency = (folder / SESSION).is_file()
    kind = "emergency" if emergency else "restore"
    if emergency and not (folder / SUMS).is_file():
        return Listed(folder.name, kind, "-", "open")
    try:
        value = load(folder)
    except (MedsecError, OSError, ValueError):
        return Listed(folder.name, kind, "-", "damaged")
    subject = value["scenario"] if emergency else f"{value['host']} {value['product']}"
    return Listed(folder.name, kind, subject, value["outcome"] if _chained(folder, value) else "damaged")


def _chained(folder: Path, value: dict[str, Any]) -> bool:
    """Return whether the record before this one is still the one that it was written behind."""
    previous = value.get("previous")
    if previous is None:
        return True
    path = folder.parent / previous["id"] / RECORD
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == str(previous["record_sha256"])


def _iso(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _local(time: datetime) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
