"""Checks side by side: each ends once, and is given only answers to what it asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from testinfra.backend.base import CommandResult

from medsec.judge.channel import Traffic
from medsec.judge.courses import Courses
from medsec.judge.frames import Answer, Lane
from medsec.judge.gathering import Task, gather
from medsec.judge.recording import ConnectedHost
from medsec.judge.transport import Limits


class Channel:
    traffic = Traffic()

    def when(self, answer: Answer) -> datetime:
        return datetime.now(UTC)


class Shell:
    """In place of a host: answers every command of a frame, each check's in their order, with the command itself."""

    agent = Channel()
    limits = Limits()

    def __init__(self) -> None:
        self.frames: list[list[list[str]]] = []

    def get_hostname(self) -> str:
        return "h"

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        raise AssertionError("asked outside of a frame")

    def exchange(self, lanes: Sequence[Lane]) -> Iterator[tuple[int, int, Answer]]:
        self.frames.append([[question.command for question in lane.questions] for lane in lanes])
        for place, lane in enumerate(lanes):
            for number, question in enumerate(lane.questions):
                yield place, number, Answer(0, question.command.encode(), b"", 0.0, 0.0)


def asks(*commands: str) -> Any:
    return lambda host: [host.run(command).stdout for command in commands]


def gathered(courses: Courses, **checks: tuple[str, ...]) -> tuple[dict[str, Any], list[str], Shell]:
    shell, ended, answers = Shell(), [], {}

    def identify(host: ConnectedHost) -> None:
        host.run("identity")

    for task in gather(
        shell, [Task(name, asks(*commands)) for name, commands in checks.items()], courses, gate=identify
    ):
        ended.append(task.name)
        answers[task.name] = task.came_to
    return answers, ended, shell


def test_each_check_ends_once_even_if_more_was_asked_ahead_than_it_wanted() -> None:
    courses = Courses({"short": [("a", "b", "c", "d")], "long": [("x", "y")]})
    answers, ended, _ = gathered(courses, short=("a", "b"), long=("x", "y", "z"))
    assert sorted(ended) == ["long", "short"]
    assert answers == {"short": ["a", "b"], "long": ["x", "y", "z"]}


def test_what_was_asked_ahead_is_used_only_while_the_words_are_the_same() -> None:
    answers, _, shell = gathered(Courses({"one": [("a", "b", "c")]}), one=("a", "other", "c"))
    assert answers == {"one": ["a", "other", "c"]}
    assert [lane for frame in shell.frames for lane in frame if lane[0] != "identity"] == [
        ["a", "b", "c"],
        ["other", "c"],
    ]
