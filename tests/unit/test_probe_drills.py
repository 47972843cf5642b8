"""What the chain of restore drills tells of each way of backing up, read from folders as a host keeps them."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import testinfra

from medsec.probes.drills import Drills, drills


class Chain:
    """The folder of one product's drills, and those of its backups."""

    def __init__(self, folder: Path) -> None:
        self.home, self.backups, self.before, self.number = folder / "drills", folder / "backups", "none", 0
        (self.home / "postgresql").mkdir(parents=True, mode=0o700)

    def sets(self, way: str) -> None:
        (self.backups / way / "20260101T000000Z").mkdir(parents=True)

    def drilled(self, way: str, outcome: str, *, system: bool = True, backup: str | None = None) -> None:
        self.number += 1
        value = {
            "previous": self.before,
            "backup": backup or f"{self.backups}/{way}/20260101T000000Z",
            "finished": datetime.now(UTC).isoformat(),
            "host": "his-db",
            "machine": hashlib.sha256(Path("/etc/machine-id").read_text().strip().encode()).hexdigest(),
            "outcome": outcome,
            "product": "postgresql",
        } | ({"system": way} if system else {})
        path = self.home / "postgresql" / f"{self.number:06}-x.json"
        path.write_text(json.dumps(value) + "\n")
        path.chmod(0o600)
        self.before = hashlib.sha256(path.read_bytes()).hexdigest()

    def read(self) -> Drills:
        found = drills(testinfra.get_host("local://"), str(self.home), ["postgresql"])["postgresql"]
        assert [drill.problem for drill in found.kept] == [None] * self.number
        return found

    def newest(self) -> dict[str, str]:
        return {way: drill.outcome for way, drill in self.read().newest.items()}


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path)


@pytest.mark.parametrize("system", [True, False])
def test_a_pass_of_one_way_does_not_hide_anothers_failure(chain: Chain, system: bool) -> None:
    chain.sets("pgbackrest")
    chain.drilled("postgresql", "failed", system=system)
    chain.drilled("pgbackrest", "passed", system=system)
    assert chain.newest() == {"postgresql": "failed", "pgbackrest": "passed"}
    chain.drilled("postgresql", "passed", system=system)
    assert chain.newest() == {"postgresql": "passed", "pgbackrest": "passed"}


def test_a_way_whose_backups_are_gone_was_given_up(chain: Chain) -> None:
    chain.drilled("pgbackrest", "failed")
    chain.drilled("postgresql", "passed")
    assert chain.newest() == {"postgresql": "passed"}
    chain.sets("pgbackrest")
    assert chain.newest() == {"postgresql": "passed", "pgbackrest": "failed"}


def test_the_dumps_are_never_given_up(chain: Chain) -> None:
    chain.sets("pgbackrest")
    chain.drilled("postgresql", "failed", backup="-")
    chain.drilled("pgbackrest", "passed")
    assert chain.newest() == {"postgresql": "failed", "pgbackrest": "passed"}


def test_the_only_way_counts_though_its_backups_are_gone(chain: Chain) -> None:
    chain.drilled("pgbackrest", "failed")
    assert chain.newest() == {"pgbackrest": "failed"}
