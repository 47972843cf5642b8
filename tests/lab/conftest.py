"""Real hosts for tests: one lab for each worker, taken away whatever happens."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from medsec.lab import Lab, LabHost, machine, network
from medsec.lab.definition import Kind, Suite

# Index 0 is the operator's, and low numbers are what people take by hand.
_INDEXES = range(21, 32)
_NAMES = (f"h-{number}" for number in itertools.count(1))


@contextmanager
def leased_index() -> Iterator[int]:
    """Give an index that no lab and no other test process uses; it is free again when this process is gone."""
    with ExitStack() as held:
        for index in _INDEXES:
            lock = held.enter_context(machine.locked(machine.NOTES / f"test-{index}.lock", wait=False))
            if lock is not None and index not in network.indexes_present():
                yield index
                return
        raise RuntimeError(f"no lab index of {_INDEXES} is free; look at /run/medsec/lab, or call Lab.reap()")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse a run whose workers share out what belongs together.

    With a pytest that is newer than pytest-xdist knows, groups are ignored without a word: hosts are then started twice.
    """
    grouped = [item for item in items if item.get_closest_marker("xdist_group")]
    if hasattr(config, "workerinput") and not all("@" in item.nodeid for item in grouped):
        raise pytest.UsageError(
            "tests are not kept in their groups; use --dist loadgroup, and the pytest of constraints.txt"
        )


def pytest_sessionstart(session: pytest.Session) -> None:
    """Take away what an earlier run left that was killed."""
    _reap_before_and_after_all_workers(session.config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """After an interrupt the workers are gone without tearing down; their labs know whose they were."""
    _reap_before_and_after_all_workers(config)


def _reap_before_and_after_all_workers(config: pytest.Config) -> None:
    # Not by a worker: what one is taking away, another one that tries the reaper would look for in vain.
    if not hasattr(config, "workerinput") and os.geteuid() == 0 and machine.NOTES.is_dir():
        Lab.reap()


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab of this worker's own, with no host started."""
    with leased_index() as index, Lab("test", index, owner=os.getpid()) as lab:
        yield lab


@pytest.fixture
def spare_index() -> Iterator[int]:
    """An index for a test that handles labs itself; whatever it leaves there is taken away."""
    with leased_index() as index:
        try:
            yield index
        finally:
            Lab.reap(index)


@pytest.fixture
def fresh_host(lab: Lab) -> Iterator[Callable[..., LabHost]]:
    """Make hosts that nobody has touched: fresh_host(kind=, zone=, layer=, suite=); a database server has databases."""
    made: list[str] = []

    def make(
        kind: Kind = "server", *, zone: str = "srv", layer: str | None = None, suite: Suite = "bookworm"
    ) -> LabHost:
        name = next(_NAMES)
        made.append(name)
        return lab.add_host(
            name, kind=kind, zone=zone, layer=layer or ("db" if kind == "db" else None), suite=suite
        )

    yield make
    for name in made:
        if name in lab.hosts():
            lab.remove_host(name)
