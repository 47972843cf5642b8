"""An emergency exercise as it goes on: events appended to a file, each holding the digest of the one before it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import socket
import time as clocks
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from medsec.catalogue.source import validate
from medsec.drills.record import SUMS
from medsec.drills.scenario import Scenario, Step
from medsec.errors import UsageError
from medsec.evidence.store import new_run_id
from medsec.judge.verifying import operator
from medsec.text import says

SESSION = "session.jsonl"
# Seconds by which the wall clock may drift from the monotonic one before it counts as set.
_DRIFT = 5.0
_ACCEPTED = "2026-11-22T10:05, 2026-11-22T10:05:30+08:00, 10:05"


@dataclass(frozen=True)
class Moment:
    """The controller's clocks: wall, seconds since it was started, and which start that was."""

    wall: datetime
    running: float
    boot: str

    @classmethod
    def now(cls) -> Moment:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return cls(datetime.now(UTC), clocks.clock_gettime(clocks.CLOCK_BOOTTIME), boot)


@dataclass(frozen=True)
class Stamped:
    """A step that was done: when, who, whether the clock said so or a person."""

    step: str
    time: datetime
    person: str
    note: str
    by_clock: bool


@dataclass(frozen=True)
class Improvement:
    """What is to become better, whose it is, and by when."""

    text: str
    owner: str
    due: date


class Exercise:
    """One exercise, from its folder. Open for writing by one process at a time; what is written is on the disk."""

    def __init__(self, folder: Path, stream: IO[str], events: list[dict[str, Any]], last: str) -> None:
        self.folder = folder
        self._stream = stream
        self._events = events
        self._last = last
        # Lines that are written together or not at all.
        self._held: list[str] | None = None

    @property
    def id(self) -> str:
        return self.folder.name

    @cached_property
    def scenario(self) -> Scenario:
        """The scenario as it was when the exercise began."""
        return validate(Scenario, self._events[0]["scenario"], str(self.folder / SESSION))

    # --- Beginning and going on -------------------------------------------------------------------------------------

    @classmethod
    def begin(cls, site: Path, scenario: Scenario, institution: dict[str, str]) -> Exercise:
        """Make the folder `site/drills/<id>` and begin; the clock starts with the scenario's first step."""
        now = Moment.now()
        name = new_run_id(now.wall)
        folder = site / "drills" / name
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        first = {
            "kind": "begin",
            "id": name,
            "scenario": scenario.model_dump(mode="json"),
            "institution": institution,
            "operator": operator(),
            "controller": socket.gethostname(),
        }
        exercise = cls(folder, _opened(folder / SESSION), [], "none")
        exercise._add(first, now, now.wall)
        return exercise

    @classmethod
    def resume(cls, folder: Path) -> Exercise:
        """Go on with the exercise in `folder`. Raises UsageError where it is none, ended, damaged, or another's just now."""
        path = folder / SESSION
        if not path.is_file():
            raise UsageError(
                says(
                    en=f"--resume {folder}: no exercise was begun there; `medsec drill list` shows those that were",
                    zh=f"--resume {folder}：该处没有已开始的演练；`medsec drill list` 可列出",
                )
            )
        if (folder / SUMS).exists():
            raise UsageError(
                says(
                    en=f"--resume {folder}: the exercise has ended and its record is closed; begin another",
                    zh=f"--resume {folder}：该演练已结束，记录已封存；请另行开始",
                )
            )
        stream = _opened(path)
        try:
            lines, last = read(path)
            exercise = cls(folder, stream, lines, last)
            exercise._add(
                {"kind": "resume", "operator": operator(), "controller": socket.gethostname()}, *exercise._stamp()
            )
        except BaseException:
            stream.close()
            raise
        return exercise

    @contextmanager
    def together(self) -> Iterator[None]:
        """Record what is told inside as one: where any of it is refused, none is recorded, nor an exercise begun for it."""
        count, last = len(self._events), self._last
        self._held = []
        try:
            yield
        except BaseException:
            del self._events[count:]
            self._last, self._held = last, None
            if count == 1:
                (self.folder / SESSION).unlink()
                self.folder.rmdir()
            raise
        lines, self._held = self._held, None
        self._write("".join(lines))

    def close(self) -> None:
        """Let another process go on with it."""
        fcntl.flock(self._stream, fcntl.LOCK_UN)
        self._stream.close()

    # --- What has happened ------------------------------------------------------------------------------------------

    @property
    def begun(self) -> dict[str, Any]:
        return self._events[0]

    @property
    def events(self) -> list[dict[str, Any]]:
        return list(self._events)

    @property
    def done(self) -> dict[str, Stamped]:
        """The steps that were done, by their ids."""
        return {
            event["step"]: Stamped(
                event["step"], _time(event["time"]), event["person"], event["note"], event["by_clock"]
            )
            for event in self._of("step")
        }

    @property
    def skipped(self) -> dict[str, str]:
        """The reasons of the steps that were left out."""
        return {event["step"]: event["reason"] for event in self._of("skip")}

    @property
    def improvements(self) -> list[Improvement]:
        return [
            Improvement(event["text"], event["owner"], date.fromisoformat(event["due"]))
            for event in self._of("improvement")
        ]

    @property
    def conclusion(self) -> str:
        return str(next((event["text"] for event in reversed(self._of("conclusion"))), ""))

    def spared(self, step: Step) -> bool:
        """Return whether the step was not needed: what it stands in for was done within its time."""
        done = self.done
        if step.unless is None or step.due is None or step.id in done:
            return False
        return step.unless in done and done[step.unless].time <= step.due.by(done[step.due.after].time)

    def left(self) -> list[Step]:
        """Return the steps of which nothing is known yet."""
        known = self.done.keys() | self.skipped.keys()
        return [step for step in self.scenario.steps if step.id not in known and not self.spared(step)]

    def _of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self._events if event["kind"] == kind]

    # --- Recording --------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the time that counts, and record where the wall clock was set since the last event."""
        return self._stamp()[1]

    def step(
        self, name: str, person: str, *, time: datetime | None = None, given: bool = False, note: str = ""
    ) -> Stamped:
        """Record that a step was done.

        + person: who, as the step asks for
        + time: when; now if None
        + given: a person said when, and not the clock

        Raises UsageError where it is known already, nobody is named, the time lies in the future, before the step that
        it follows, or before the exercise's first step.
        """
        step = self._open_step(name)
        if not person.strip():
            raise UsageError(
                says(
                    en=f"step {name}: name a person ({step.person.en})",
                    zh=f"步骤 {name}：请写明人员（{step.person.zh}）",
                )
            )
        now, told = self._stamp()
        moment = told if time is None else time
        self._require_order(step, moment, told)
        event = {"kind": "step", "step": name, "person": person.strip(), "note": note, "by_clock": not given}
        self._add(event, now, moment)
        return self.done[name]

    def skip(self, name: str, reason: str) -> None:
        """Record that a step was left out, and why. Raises UsageError as `step`, and for the one that starts the clock."""
        step = self._open_step(name)
        if step.id == self.scenario.steps[0].id:
            raise UsageError(
                says(
                    en=f"step {name} starts the clock and cannot be skipped",
                    zh=f"步骤 {name} 是计时起点，不能跳过",
                )
            )
        self._words("skip", reason, step=name, field="reason")

    def note(self, text: str) -> None:
        """Record a remark."""
        self._words("note", text)

    def conclude(self, text: str) -> None:
        """Record the conclusion; the last one counts."""
        self._words("conclusion", text)

    def improve(self, text: str, owner: str, due: str) -> None:
        """Record an improvement. Raises UsageError where words are missing or the day is none or lies in the past."""
        try:
            day = date.fromisoformat(due)
        except ValueError:
            day = date.min
        if not text.strip() or not owner.strip() or day < self._stamp()[1].astimezone().date():
            raise UsageError(
                says(
                    en=f"improvement {text!r}, owner {owner!r}, due {due!r}: words, an owner and a day from today on "
                    "(2026-12-31) are needed",
                    zh=f"改进项 {text!r}、责任人 {owner!r}、期限 {due!r}：须写明内容、责任人和不早于今天的日期（如 2026-12-31）",
                )
            )
        self._words("improvement", text, owner=owner.strip(), due=day.isoformat())

    def _words(self, kind: str, text: str, *, field: str = "text", **more: str) -> None:
        if not text.strip():
            raise UsageError(says(en=f"{kind}: some words are needed", zh=f"{kind}：内容不能为空"))
        self._add({"kind": kind, field: " ".join(text.split()), **more}, *self._stamp())

    def _open_step(self, name: str) -> Step:
        step = self.scenario.step(name)
        if name in self.done or name in self.skipped:
            raise UsageError(
                says(
                    en=f"step {name} is recorded already; what is recorded stays, add a note",
                    zh=f"步骤 {name} 已有记录；已记录的内容不可更改，可添加说明",
                )
            )
        return step

    def _require_order(self, step: Step, moment: datetime, now: datetime) -> None:
        first = self.scenario.steps[0].id
        follows = step.due.after if step.due is not None else first
        done = self.done
        if moment > now:
            raise UsageError(
                says(
                    en=f"step {step.id}: {_shown(moment)} lies in the future, it is {_shown(now)} now",
                    zh=f"步骤 {step.id}：{_shown(moment)} 是将来的时间，当前为 {_shown(now)}",
                )
            )
        for other in dict.fromkeys((first, follows)):
            if step.id == first:
                return
            if other not in done:
                raise UsageError(
                    says(
                        en=f"step {step.id} counts from {other}, which has no time yet; record that first",
                        zh=f"步骤 {step.id} 自 {other} 起计时，该步骤尚无记录；请先记录",
                    )
                )
            if moment < done[other].time:
                raise UsageError(
                    says(
                        en=f"step {step.id}: {_shown(moment)} is before {other} ({_shown(done[other].time)}); times do not run backwards",
                        zh=f"步骤 {step.id}：{_shown(moment)} 早于 {other}（{_shown(done[other].time)}）；时间不能倒退",
                    )
                )

    # --- The clock --------------------------------------------------------------------------------------------------

    def _stamp(self) -> tuple[Moment, datetime]:
        """Return the clocks and the time that counts, and record where the wall clock was set meanwhile."""
        now = Moment.now()
        last = self._events[-1]
        jump = jumped(_moment(last), now)
        told = told_time(_time(last["recorded"]), _moment(last), now)
        if jump:
            self._add({"kind": "clock", "seconds": round(jump, 1)}, now, told)
        return now, told

    def _add(self, event: dict[str, Any], now: Moment, time: datetime) -> None:
        """Append an event and put it on the disk.

        `time` is when it happened; `recorded` when that was written, by the clock that counts.
        """
        recorded = (
            now.wall
            if not self._events
            else told_time(_time(self._events[-1]["recorded"]), _moment(self._events[-1]), now)
        )
        whole = {
            **event,
            "time": time.astimezone(UTC).isoformat(),
            "recorded": recorded.astimezone(UTC).isoformat(),
            "wall": now.wall.isoformat(),
            "running": now.running,
            "boot": now.boot,
            "previous": self._last,
        }
        line = json.dumps(whole, ensure_ascii=False, sort_keys=True) + "\n"
        self._last = _digest(line)
        self._events.append(whole)
        if self._held is None:
            self._write(line)
        else:
            self._held.append(line)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
        os.fsync(self._stream.fileno())


def jumped(last: Moment, now: Moment) -> float:
    """Return by how many seconds the wall clock was set between two moments; 0 where it was not, or nobody can tell."""
    if last.boot != now.boot:
        return 0.0
    drift = (now.wall - last.wall).total_seconds() - (now.running - last.running)
    return drift if abs(drift) > _DRIFT else 0.0


def told_time(recorded: datetime, last: Moment, now: Moment) -> datetime:
    """Return the time that counts, `recorded` being the one that counted at `last`.

    Within one start of the controller it goes on by the monotonic clock, whatever the wall clock is set to. After another
    start only the wall clock is left: raises UsageError where that is behind.
    """
    if last.boot == now.boot:
        return recorded + timedelta(seconds=max(0.0, now.running - last.running))
    if now.wall < recorded:
        raise UsageError(
            says(
                en=f"the controller's clock says {_shown(now.wall)}, the last event was at {_shown(recorded)}; set the clock right",
                zh=f"管理机时钟为 {_shown(now.wall)}，早于上一事件 {_shown(recorded)}；请先校正时钟",
            )
        )
    return now.wall


def read(path: Path) -> tuple[list[dict[str, Any]], str]:
    """Return the events in `path` and the digest of the last. Raises UsageError where one was changed or is missing.

    A last line without its end was cut short by a crash, and is taken away.
    """
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) != len(data):
        os.truncate(path, len(whole))
    events: list[dict[str, Any]] = []
    last = "none"
    for line in whole.decode("utf-8", "replace").splitlines(keepends=True):
        try:
            event = json.loads(line)
        except ValueError:
            event = {}
        if event.get("previous") != last:
            raise _damaged(path)
        events.append(event)
        last = _digest(line)
    if not events or events[0].get("kind") != "begin":
        raise _damaged(path)
    return events, last


def _damaged(path: Path) -> UsageError:
    return UsageError(
        says(
            en=f"{path}: was changed since it was written; this exercise proves nothing any more, begin another",
            zh=f"{path}：写入之后被改动，该演练记录不再可信；请重新演练",
        )
    )


def given_time(text: str) -> datetime:
    """Return the time that `text` says, of today where it names no day, of this machine's zone where it names none.

    Raises UsageError with what is accepted.
    """
    try:
        if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", text):
            parts = [int(part) for part in text.split(":")]
            return (
                datetime.now()
                .astimezone()
                .replace(hour=parts[0], minute=parts[1], second=[*parts, 0][2], microsecond=0)
            )
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise UsageError(
            says(en=f"{text!r} is no time; accepted: {_ACCEPTED}", zh=f"{text!r} 不是时间；可用：{_ACCEPTED}")
        ) from None


def _opened(path: Path) -> IO[str]:
    handle = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise UsageError(
            says(
                en=f"{path.parent}: another process has this exercise open; wait until it ends",
                zh=f"{path.parent}：另一个进程正在进行该演练；请等其结束",
            )
        ) from None
    return os.fdopen(handle, "a", encoding="utf-8")


def _moment(event: dict[str, Any]) -> Moment:
    return Moment(_time(event["wall"]), float(event["running"]), str(event["boot"]))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _shown(time: datetime) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _digest(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()
