"""What a check is likely to ask next, so that it is asked ahead: never an answer, only the words of a question."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

# None stands for a command that is never asked ahead: it does something, or its words differ from host to host.
Course = tuple[str | None, ...]

SHIPPED = Path(__file__).with_name("courses.json")
_KEPT = 8
_LONGEST = 40


class Courses:
    """The commands that checks asked one after the other; safe for several threads.

    A guess that is wrong costs the host a command; the check then asks anew and is given nothing of it. What hosts of
    this run asked is guessed of others only when two hosts used the very same words: paths and process ids of one host
    say nothing of the next.
    """

    def __init__(self, known: Mapping[str, Sequence[Course]] | None = None) -> None:
        self._known: dict[str, list[Course]] = {name: list(found) for name, found in (known or {}).items()}
        self._once: dict[str, list[Course]] = {}
        self._lock = threading.Lock()

    def ahead(self, name: str, asked: Sequence[str | None]) -> list[str]:
        """Return what the check `name` is likely to ask after `asked` (its commands so far, the last being asked now)."""
        with self._lock:
            courses = list(self._known.get(name, ()))
        following = max(
            (_following(course, asked) for course in courses), key=lambda found: found[0], default=(0, ())
        )[1]
        likely: list[str] = []
        for command in following:
            if command is None:
                break
            likely.append(command)
        return likely

    def learn(self, name: str, asked: Sequence[str | None]) -> None:
        """Remember what the check `name` asked on one host, from its first command to its last."""
        course = tuple(asked[:_LONGEST])
        if len(course) < 2:
            return
        with self._lock:
            known = self._known.setdefault(name, [])
            if any(_covers(other, course) for other in known):
                return
            once = self._once.setdefault(name, [])
            for other in once:
                if len(other) == len(course):
                    both = shared(course, other)
                    if any(both[1:]) and both not in known:
                        known[:] = [both, *known][:_KEPT]
            once[:] = [course, *once][:_KEPT]


def shared(course: Course, other: Course) -> Course:
    """Return what two courses of the same length have in common, word for word."""
    return tuple(mine if mine == theirs else None for mine, theirs in zip(course, other, strict=True))


def _covers(known: Course, course: Course) -> bool:
    """Return whether `known` foretells all of `course` that can be."""
    return len(known) >= len(course) and all(a == b for a, b in zip(known, course, strict=False))


def _following(course: Course, asked: Sequence[str | None]) -> tuple[tuple[int, int], Course]:
    """Return how well `course` fits what was asked, and what follows there in it."""
    last = asked[-1]
    same = sum(a == b for a, b in zip(course, asked, strict=False))
    here = len(asked) - 1
    if here < len(course) and course[here] == last:
        return (3, same), course[here + 1 :]
    if last is not None and last in course:
        return (2, same), course[course.index(last) + 1 :]
    # Other words at the same place: what follows it is likely the same.
    return (1, same), course[here + 1 :]


@cache
def shipped() -> Mapping[str, Sequence[Course]]:
    """Return the courses that come with the catalogue, as `medsec.judge.learning` wrote them."""
    if not SHIPPED.is_file():
        return {}
    read = json.loads(SHIPPED.read_text(encoding="utf-8"))
    return {name: [tuple(course) for course in courses] for name, courses in read["courses"].items()}
