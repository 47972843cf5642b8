"""A host that loses its power in the middle of a backup and of a drill, and a scratch disk that fills while one goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from medsec.catalogue.controls import load_controls
from medsec.drills.engines import ENGINES
from medsec.drills.record import Outcome
from medsec.drills.restore import drill_restore
from medsec.lab import Lab, LabHost
from medsec.resources import root
from tests.database_site import PRODUCTS, installing, site

HOME, SCRATCH = "/var/backups/medsec", "/var/lib/medsec-scratch"
# Much that takes little room in a backup: no look at its size foretells what it takes in a server.
DATA = """
cd /
runuser -u postgres -- psql -q -c "CREATE TABLE big AS SELECT i, repeat('x', 1000) AS t FROM generate_series(1, 150000) AS i"
mariadb -e "CREATE DATABASE his; USE his; CREATE TABLE big AS SELECT seq, REPEAT('x', 1000) AS t FROM seq_1_to_150000"
"""


@dataclass
class Place:
    """A database server with a good backup of each product."""

    lab: Lab
    host: LabHost
    folder: Path

    def medsec(self, *arguments: str) -> subprocess.Popen[str]:
        command = [
            str(Path(sys.executable).with_name("medsec")),
            "--lang",
            "en",
            *arguments,
            "--host",
            self.host.name,
        ]
        return subprocess.Popen(
            command, cwd=self.folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def root(self, script: str) -> str:
        done = self.host.run_as_root(script, timeout=180)
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def left(self) -> str:
        return self.root(
            f"ls -A {SCRATCH} /mnt/small 2> /dev/null | grep medsec-drill; ps -eo args= | grep '[m]edsec-scratch'; "
            "ls /etc/tmpfiles.d | grep medsec-drill; systemctl list-units --plain --no-legend 'medsec-drill*'; true"
        )


@pytest.fixture(scope="module")
def place(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    host = lab.add_host("cut-short", kind="db", layer="db")
    made = Place(lab, host, tmp_path_factory.mktemp("site"))
    made.root("systemctl is-system-running --wait > /dev/null; true")
    made.root(installing(load_controls(root() / "roles")))
    made.root(DATA)
    for product in PRODUCTS:
        made.root(f"medsec-database-backup run {product}")
    site(lab, [host], made.folder)
    yield made
    lab.remove_host(host.name)


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_scratch_disk_that_fills_midway_proves_nothing(place: Place, product: str) -> None:
    place.root(
        "mkdir -p /mnt/small; mountpoint -q /mnt/small || mount -t tmpfs -o size=220m,mode=755 none /mnt/small"
    )
    found = site(place.lab, [place.host], place.folder, restore_drill_recent_scratch="/mnt/small/drills")
    host = found.hosts[place.host.name]
    drill, _ = drill_restore(found, load_controls(root() / "roles"), host, ENGINES[product], site=place.folder)
    site(place.lab, [place.host], place.folder)
    assert drill.outcome is Outcome.NOT_MADE, drill.reasons()
    assert "no room" in drill.reasons()[0].en, drill.reasons()
    assert "restore" in [step.id for step in drill.steps]  # it had begun
    assert place.left() == ""


def test_a_host_killed_in_backup_and_drill_leaves_nothing_half(place: Place) -> None:
    sets = place.root(f"ls -d {HOME}/*/2*")
    records = place.root("find /var/lib/medsec/drills -name '*.json' | sort; true")
    drilling = place.medsec("drill", "restore", "--system", "mariadb")
    assert drilling.stderr is not None
    for line in drilling.stderr:
        if "restore" in line:
            break
    place.root("systemctl start --no-block medsec-database-backup@mariadb medsec-database-backup@postgresql")
    place.root(
        f'n=0; until [ "$(find {HOME}/*/.partial-* -type f -size +0 2> /dev/null | cut -d/ -f5 | sort -u | wc -l)" = 2 ]; '
        "do n=$((n + 1)); [ $n -lt 200 ]; sleep 0.05; done"
    )
    assert "medsec-scratch" in place.left()
    place.host.backend.kill()
    place.lab.start(place.host.name)
    place.root("systemctl is-system-running --wait > /dev/null; true")
    assert place.left() == ""
    said = drilling.communicate(timeout=120)[1]
    assert drilling.returncode == 3, said
    assert not list((place.folder / "drills").glob(".*"))
    assert place.root("find /var/lib/medsec/drills -name '*.json' | sort; true") == records
    assert place.root(f"ls -d {HOME}/*/2*") == sets
    assert place.root(f"ls -d {HOME}/*/.partial-* | wc -l").strip() == "2"  # it was in the middle of both
    # Each next run goes through, and clears away what was left.
    now = place.medsec("backup", "now", "--format", "json")
    answer, said = now.communicate(timeout=180)
    assert now.returncode == 0, said
    assert all(made["set"]["sealed"] for made in json.loads(answer)[0]["made"])
    assert place.root(f"ls -A {HOME}/* | grep partial; true") == ""
    started = time.monotonic()
    again = place.medsec("drill", "restore")
    answer, said = again.communicate(timeout=300)
    assert again.returncode == 0, f"{answer}\n{said}\n{time.monotonic() - started:.0f} s"
    assert place.left() == ""
