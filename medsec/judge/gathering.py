"""Running many checks of one host at once, so that what they ask travels together.

Each check is plain code that asks one command after the other. Here each runs in a coroutine of its own: it goes on
until it asks the host something, and waits. When all wait, one frame carries what each wants to know, and, behind it,
what each is likely to ask next (courses.py). The host runs a check's commands in that order. An answer is given to a
check only if the words are exactly what it asks next; at the first other word everything that was asked ahead for it
is thrown away and its question goes with the next frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from greenlet import getcurrent, greenlet
from testinfra.backend.base import BaseBackend, CommandResult

from medsec.errors import HostUnreachable
from medsec.judge.channel import NoAgent, Traffic
from medsec.judge.courses import Courses
from medsec.judge.frames import Answer, Lane, Question
from medsec.judge.recording import ConnectedHost, Timing, connected
from medsec.judge.transport import Limits, too_long, too_much


class Agent(Protocol):
    """The channel over which frames go."""

    traffic: Traffic

    def when(self, answer: Answer) -> datetime: ...


class Gathers(Protocol):
    """A backend that takes many commands in one frame."""

    agent: Agent
    limits: Limits

    def get_hostname(self) -> str: ...

    def exchange(self, lanes: Sequence[Lane]) -> Iterator[tuple[int, int, Answer]]: ...

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult: ...


@dataclass(frozen=True)
class _Asked:
    command: str
    seconds: float
    acts: bool


@dataclass
class Task:
    """One check on its way. `work` is given a host of its own to ask; what it returns is kept in `came_to`."""

    name: str
    work: Callable[[ConnectedHost], Any]
    came_to: Any = None
    host: ConnectedHost | None = None
    asked: list[str | None] = field(default_factory=list)
    _green: Any = field(default=None, repr=False)
    # What it wants to know now; None before it began and after its end.
    question: _Asked | None = None
    done: bool = False
    # What was sent for it in the frame under way: the commands, and the answers that came in time.
    sent: deque[str] = field(default_factory=deque, repr=False)
    answers: deque[Answer] = field(default_factory=deque, repr=False)

    def begin(self, inner: Gathers) -> None:
        backend = _TaskBackend(inner)
        self.host = connected(backend)
        self._green = greenlet(self.work)
        self._take(self._green.switch(self.host))

    def answer(self, answer: Answer | CommandResult | Exception) -> None:
        """Give the answer to its question and let it go on to its next one, or to its end."""
        self._take(self._green.switch(answer))

    def _take(self, given: Any) -> None:
        if self._green.dead:
            self.came_to, self.done, self.question = given, True, None
            return
        self.question = given
        self.asked.append(None if given.acts else given.command)


class _TaskBackend(BaseBackend):  # type: ignore[misc]
    """What a check's host asks: it hands the question to whoever runs the checks, and waits."""

    NAME = "gathering"

    def __init__(self, inner: Gathers) -> None:
        super().__init__(inner.get_hostname())
        self.inner = inner
        self.timing: Timing | None = None

    @property
    def host_key(self) -> str | None:
        return getattr(self.inner, "host_key", None)

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        command = self.quote(command, *args)
        limits = self.inner.limits
        seconds = min(limits.command, float(kwargs.get("seconds", limits.command)))
        self.timing = None
        gatherer = getcurrent().parent
        if gatherer is None:
            raise RuntimeError("asked outside of its check")
        given = gatherer.switch(_Asked(command, seconds, bool(kwargs.get("once"))))
        if isinstance(given, Exception):
            raise given
        if isinstance(given, CommandResult):
            return given
        answer: Answer = given
        self.timing = Timing(self.inner.agent.when(answer), answer.seconds)
        if answer.too_much:
            raise too_much(command, limits.output)
        # What was asked ahead may have been given more time than the check had left.
        if answer.rc is None or answer.seconds >= max(1, seconds):
            raise too_long(command, seconds)
        return self.result(answer.rc, command.encode(), answer.out, answer.err)


def gather(
    backend: Gathers,
    tasks: Sequence[Task],
    courses: Courses,
    *,
    gate: Callable[[ConnectedHost], Any] | None = None,
) -> Iterator[Task]:
    """Run the tasks side by side and yield each when it is done; a task's `work` must not raise.

    + gate: asked first, in the same frame; until it has returned no task is given an answer. What it raises is raised here.
    """
    gated = _Gate(gate) if gate is not None else None
    running = [*([gated.task] if gated else []), *tasks]
    for task in running:
        task.begin(backend)
    lost: Exception | None = None
    plain = False
    while waiting := [task for task in running if not task.done]:
        if lost is None and not plain:
            try:
                yield from _finished(_round(backend, waiting, courses, gated), gated)
                continue
            except HostUnreachable as error:
                lost = error
            except NoAgent:
                plain = True
        still = [task for task in waiting if not task.done]
        yield from _finished(_one_by_one(backend, still, lost), gated)


def _finished(tasks: Iterator[Task], gated: _Gate | None) -> Iterator[Task]:
    for task in tasks:
        if gated is not None and task is gated.task:
            gated.open()
        else:
            yield task


class _Gate:
    """What must hold before any check is believed."""

    def __init__(self, gate: Callable[[ConnectedHost], Any]) -> None:
        self._gate = gate
        self._raised: BaseException | None = None
        self.task = Task("", self._work)

    def _work(self, host: ConnectedHost) -> None:
        try:
            self._gate(host)
        except BaseException as error:  # noqa: BLE001 - it is raised where the gate is asked for
            self._raised = error

    def open(self) -> None:
        if self._raised is not None:
            raise self._raised


def _round(backend: Gathers, waiting: list[Task], courses: Courses, gated: _Gate | None) -> Iterator[Task]:
    """Send one frame and give its answers; yield the tasks that ended by them."""
    closed = gated is not None and not gated.task.done
    # Before the gate is open, nothing is done on the host: only read.
    asking = [task for task in waiting if task.question and not (closed and task.question.acts)]
    lanes = [_lane(task, courses) for task in asking]
    traffic = backend.agent.traffic
    traffic.ahead += sum(len(lane.questions) - 1 for lane in lanes)
    for place, _, answer in backend.exchange(lanes):
        task = asking[place]
        if task.sent:
            task.answers.append(answer)
        if gated is not None and not gated.task.done and task is not gated.task:
            continue
        yield from _advance(task)
        if gated is not None and task is gated.task and task.done:
            for other in asking:
                yield from _advance(other)
    for task in asking:
        task.sent.clear()
        task.answers.clear()


def _lane(task: Task, courses: Courses) -> Lane:
    asked = task.question
    if asked is None:
        raise RuntimeError(task.name)
    ahead = courses.ahead(task.name, task.asked)
    task.sent = deque([asked.command, *ahead])
    task.answers.clear()
    questions = [Question(command, asked.seconds) for command in task.sent]
    return Lane(questions, acts=asked.acts)


def _advance(task: Task) -> Iterator[Task]:
    """Give the task the answers that are there, as long as they are to what it asks; yield it when it is done."""
    if task.done:  # an answer that was asked ahead in vain comes after its end
        return
    while not task.done and task.answers:
        answer, command = task.answers.popleft(), task.sent.popleft()
        if task.question is None or task.question.command != command:
            task.sent.clear()
            task.answers.clear()
            return
        task.answer(answer)
        if task.question is not None and (task.question.acts or not task.sent):
            task.sent.clear()
            task.answers.clear()
    if task.done:
        task.sent.clear()
        yield task


def _one_by_one(backend: Gathers, waiting: list[Task], lost: Exception | None) -> Iterator[Task]:
    """Let the tasks ask without frames, or tell them that the host is gone; yield each when it is done."""
    for task in waiting:
        task.sent.clear()
        task.answers.clear()
        while task.question is not None:
            task.answer(lost or _asked(backend, task.question))
        yield task


def _asked(backend: Gathers, question: _Asked) -> CommandResult | Exception:
    try:
        return backend.run(question.command, seconds=question.seconds)
    except Exception as error:  # noqa: BLE001 - it is the check's to hear
        return error
