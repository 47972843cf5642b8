"""Which host is whose turn: several at a time, and of one site no more than its line bears."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

Job = TypeVar("Job")


@dataclass(frozen=True, eq=False)
class Turn(Generic[Job]):
    """One job in somebody's hands, and the limited groups that it counts for."""

    job: Job
    groups: Collection[str]


class Schedule(Generic[Job]):
    """Gives jobs out in their order; one whose group is busy lets those behind it go first.

    + jobs: each with the groups that it counts for
    + most: how many jobs of a group may be in work at once; a group that is not named has no limit

    Safe for threads, and for greenlets where gevent has patched `threading`.
    """

    def __init__(self, jobs: Iterable[tuple[Job, Collection[str]]], most: Mapping[str, int]) -> None:
        self._most = most
        self._waiting = deque(Turn(job, [group for group in groups if group in most]) for job, groups in jobs)
        self._busy: Counter[str] = Counter()
        self._running = 0
        self._stopped = False
        self._changed = threading.Condition()

    def turns(self) -> Iterator[Turn[Job]]:
        """Yield one turn after the other to one worker, until nothing is left that could still come."""
        while (turn := self._take()) is not None:
            try:
                yield turn
            finally:
                self._release(turn)

    def again(self, turn: Turn[Job], job: Job) -> None:
        """Put `job` in the place of the turn's own at the end of the queue."""
        with self._changed:
            self._waiting.append(Turn(job, turn.groups))
            self._changed.notify_all()

    def stop(self) -> None:
        """Give nothing out any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _take(self) -> Turn[Job] | None:
        with self._changed:
            while not self._stopped:
                for turn in self._waiting:
                    if all(self._busy[group] < self._most[group] for group in turn.groups):
                        self._waiting.remove(turn)
                        self._busy.update(turn.groups)
                        self._running += 1
                        return turn
                # What is in work may come back.
                if not self._running:
                    return None
                self._changed.wait()
            return None

    def _release(self, turn: Turn[Job]) -> None:
        with self._changed:
            self._busy.subtract(turn.groups)
            self._running -= 1
            self._changed.notify_all()


def side_by_side(schedule: Schedule[Job], act: Callable[[Job], object], *, forks: int) -> None:
    """Do `act` with every job, `forks` at a time at most; what it raises is raised here when all are done."""

    def work() -> None:
        for turn in schedule.turns():
            act(turn.job)

    with ThreadPoolExecutor(max_workers=max(1, forks)) as pool:
        workers = [pool.submit(work) for _ in range(max(1, forks))]
    for worker in workers:
        worker.result()


def batches(
    jobs: Mapping[Job, Collection[str]], most: Mapping[str, int], *, in_all: int | None = None
) -> list[list[Job]]:
    """Cut jobs, each given with its groups, into lists to be worked on one after the other.

    For what cannot wait its turn: no list holds more of a group than `most` says, nor more than `in_all`.
    """
    made: list[tuple[list[Job], Counter[str]]] = []
    for job, groups in jobs.items():
        mine = [group for group in groups if group in most]
        for batch, counts in made:
            if len(batch) != in_all and all(counts[group] < most[group] for group in mine):
                break
        else:
            batch, counts = [], Counter()
            made.append((batch, counts))
        batch.append(job)
        counts.update(mine)
    return [batch for batch, _ in made]
