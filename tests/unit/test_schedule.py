"""Whose turn it is: sites keep to their limits, nobody waits for a busy one, what comes back comes last."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from medsec.fleet.schedule import Schedule, batches, side_by_side

SITES = {"slow-1": ["slow"], "slow-2": ["slow"], "slow-3": ["slow"], "fast-1": [], "fast-2": ["free"]}


class Seen:
    """Who is in work, and how many of a site were at most."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.done: list[str] = []

    def work(self, name: str) -> None:
        site = name.partition("-")[0]
        with self.lock:
            self.now[site] += 1
            self.most[site] = max(self.most[site], self.now[site])
        threading.Event().wait(0.02)
        with self.lock:
            self.now[site] -= 1
            self.done.append(name)


@pytest.mark.parametrize("limit", [1, 2])
def test_a_site_is_never_asked_by_more_than_it_bears(limit: int) -> None:
    seen = Seen()
    side_by_side(Schedule(SITES.items(), {"slow": limit}), seen.work, forks=5)
    assert sorted(seen.done) == sorted(SITES)
    assert seen.most["slow"] == limit
    assert seen.most["fast"] == 2


def test_a_busy_site_holds_nobody_else_up() -> None:
    schedule = Schedule(SITES.items(), {"slow": 1})
    first = schedule.turns()
    assert next(first).job == "slow-1"
    others = schedule.turns()
    assert [next(others).job for _ in range(2)] == ["fast-1", "fast-2"]


def test_what_comes_back_comes_last() -> None:
    schedule = Schedule([("flaky", ["slow"]), ("well", ["slow"])], {"slow": 1})
    order: list[str] = []
    for turn in schedule.turns():
        order.append(turn.job)
        if turn.job == "flaky":
            schedule.again(turn, "flaky, again")
    assert order == ["flaky", "well", "flaky, again"]


def test_nobody_leaves_while_something_may_come_back() -> None:
    schedule = Schedule([("flaky", [])], {})
    mine = schedule.turns()
    turn = next(mine)
    taken: list[str] = []
    other = threading.Thread(target=lambda: taken.extend(turn.job for turn in schedule.turns()))
    other.start()
    other.join(0.2)
    schedule.again(turn, "flaky, again")
    mine.close()
    other.join(5)
    assert taken == ["flaky, again"]


def test_a_stopped_schedule_wakes_whoever_waits() -> None:
    schedule = Schedule(SITES.items(), {"slow": 1})
    held = schedule.turns()
    next(held)
    waiting = threading.Thread(target=lambda: list(schedule.turns()))
    waiting.start()
    schedule.stop()
    waiting.join(5)
    assert not waiting.is_alive()


def test_what_is_raised_is_told_when_the_others_are_done() -> None:
    done: list[str] = []

    def act(name: str) -> None:
        if name == "slow-1":
            raise KeyError(name)
        done.append(name)

    with pytest.raises(KeyError):
        side_by_side(Schedule(SITES.items(), {}), act, forks=2)
    assert len(done) == len(SITES) - 1


def test_batches_keep_to_every_limit() -> None:
    assert batches(SITES, {"slow": 2}) == [["slow-1", "slow-2", "fast-1", "fast-2"], ["slow-3"]]
    assert batches(SITES, {"slow": 1}, in_all=2) == [["slow-1", "fast-1"], ["slow-2", "fast-2"], ["slow-3"]]
    assert batches({}, {"slow": 1}) == []
