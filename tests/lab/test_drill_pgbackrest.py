"""pgBackRest's drill on a real cluster: good backups pass, and what is wrong with a repository turns it red."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from medsec.backups.jobs import jobs
from medsec.backups.making import make
from medsec.backups.survey import survey
from medsec.catalogue.controls import Controls, load_controls
from medsec.drills.engines import ENGINES
from medsec.drills.record import Drill, Outcome, load
from medsec.drills.restore import drill_restore
from medsec.errors import UsageError
from medsec.inventory import Inventory
from medsec.lab import Lab, LabHost
from medsec.resources import root
from tests.database_site import installing, site

PITR = ENGINES["pgbackrest"]
REPOSITORY, SETS = "/var/lib/pgbackrest", "/var/backups/medsec/pgbackrest"
# As docs/backups.md says it, for this version and without a timer.
SETUP = r"""
set -eu
apt-get -qq -o Dpkg::Use-Pty=0 install pgbackrest > /dev/null 2>&1
cat > /etc/pgbackrest.conf << CONF
[global]
repo1-path=/var/lib/pgbackrest
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=$(od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n')
repo1-retention-full=4
lock-path=/var/lib/pgbackrest/lock
log-level-file=off
start-fast=y
[his]
pg1-path=/var/lib/postgresql/15/main
CONF
chown root:postgres /etc/pgbackrest.conf
chmod 640 /etc/pgbackrest.conf
install -d -o postgres -g postgres -m 700 /var/lib/pgbackrest /var/lib/pgbackrest/lock
printf '%s\n' "archive_mode = on" "archive_command = 'pgbackrest --stanza=his archive-push %p'" > /etc/postgresql/15/main/conf.d/pgbackrest.conf
systemctl restart postgresql@15-main
cd /
runuser -u postgres -- pgbackrest --stanza=his stanza-create
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c 'CREATE DATABASE "h i%s/"'
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -d 'h i%s/' << 'SQL'
CREATE TABLE patient (id serial PRIMARY KEY, name text, weight float8);
INSERT INTO patient (name, weight) SELECT E'张\t三' || i, random() FROM generate_series(1, 5000) AS i;
CREATE UNLOGGED TABLE scratchpad AS SELECT 1 AS one;
CREATE TABLE busy (at timestamptz);
SQL
"""


@dataclass
class Place:
    """A cluster with its repository; a copy of both the repository and the sets is kept as they were when good."""

    lab: Lab
    host: LabHost
    folder: Path
    controls: Controls

    def drill(self, **variables: object) -> Drill:
        found: Inventory = site(self.lab, [self.host], self.folder, **variables)
        host = found.hosts[self.host.name]
        drill, folder = drill_restore(found, self.controls, host, PITR, site=self.folder)
        assert load(folder)["outcome"] == drill.outcome
        return drill

    def root(self, script: str) -> str:
        done = self.host.run_as_root(script, timeout=180)
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def sql(self, statement: str) -> str:
        return self.root(
            f"cd / && runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -d 'h i%s/' << 'SQL'\n{statement}\nSQL"
        )

    def back_up(self) -> None:
        unit = "medsec-database-backup@pgbackrest.service"
        self.root(
            f"systemctl start {unit} || {{ journalctl --sync; journalctl -q -o cat -n 20 -u {unit} >&2; exit 1; }}"
        )

    def left(self) -> str:
        return self.root(
            "ls -A /var/lib/medsec-scratch /mnt/small 2> /dev/null | grep medsec-drill; ps -eo args= | grep '[m]edsec-scratch'; "
            "systemctl list-units --plain --no-legend 'medsec-drill*'; true"
        )


@pytest.fixture(scope="module")
def place(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    controls = load_controls(root() / "roles")
    host = lab.add_host("pitr", kind="db", layer="db")
    made = Place(lab, host, tmp_path_factory.mktemp("site"), controls)
    made.root("systemctl is-system-running --wait > /dev/null; true")
    made.root(installing(controls))
    made.root(SETUP)
    made.back_up()
    made.root(
        f"cp -a {REPOSITORY} /root/repository; cp -a {SETS} /root/sets; cp -p /etc/pgbackrest.conf /root/conf"
    )
    yield made
    lab.remove_host(host.name)


@pytest.fixture(autouse=True)
def nothing_left(place: Place) -> Iterator[None]:
    """Each case starts from the good repository, and leaves no scratch server."""
    yield
    left = place.left()
    place.root(
        f"rm -rf {REPOSITORY} {SETS}; cp -a /root/repository {REPOSITORY}; cp -a /root/sets {SETS}; cp -p /root/conf /etc/pgbackrest.conf"
    )
    assert left == ""


def test_a_good_backup_passes_and_nothing_is_archived(place: Place) -> None:
    """What was written behind the restore point is not there, and the live server's own settings do not count."""
    place.sql("ALTER SYSTEM SET archive_command = 'touch /tmp/archived'; DELETE FROM patient WHERE id > 10")
    listing = f"find {REPOSITORY} -type f | sort | sha256sum"
    before = place.root(listing)
    for _ in range(2):
        drill = place.drill()
        assert drill.outcome is Outcome.PASSED, drill.reasons()
        assert drill.rows > 5000
        assert drill.rto is not None and drill.rpo is not None
    assert place.root(listing) == before
    assert place.root(f"cat {SETS}/2*/15-main/h*.manifest | grep -c scratchpad; true").strip() == "0"
    place.sql("ALTER SYSTEM RESET archive_command")


def test_a_backup_while_others_write_passes(place: Place) -> None:
    """No transaction straddles the moment of the manifests."""
    place.root(
        "cat > /root/writer << 'WRITER'\ncd /\nwhile :; do echo 'INSERT INTO busy VALUES (now());'; sleep 0.05; done | "
        "PGDATABASE='h i%s/' runuser -u postgres -- psql -q\nWRITER\n"
        "systemd-run -q --unit=writer sh /root/writer"
    )
    try:
        place.back_up()
        drill = place.drill()
        assert drill.outcome is Outcome.PASSED, drill.reasons()
        assert int(place.sql("SELECT count(*) FROM busy")) > 10
    finally:
        place.root("systemctl stop writer")


FLIP = r"""
set -eu
flip() { # FILE
  head -c 8 /dev/urandom | dd of="$1" bs=1 seek=$(($(stat -c %s "$1") / 2)) conv=notrunc status=none
}
largest() { find backup/his/2* -path '*/base/*' -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-; }
last_log() { find archive/his -type f -path '*/0000*' | sort | tail -n 1; }
"""


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ('flip "$(largest)"', "cannot be restored: .*ERROR: "),
        ('flip "$(last_log)"', "cannot be restored: .*recovery"),
        ('rm "$(last_log)"', "cannot be restored: .*recovery"),
        ("rm -r backup archive", "cannot be restored: .*(unable|missing|no such)"),
        ("rm -r backup/his/2*", "cannot be restored"),
        ("sed -i 's/^repo1-cipher-pass=.*/repo1-cipher-pass=0123456789/' /etc/pgbackrest.conf", "cannot be decrypted"),
    ],
    ids=["flipped_bytes", "flipped_log", "dropped_log", "empty_repository", "no_backup", "wrong_key"],
)  # fmt: skip
def test_a_spoilt_repository_fails_for_its_reason(place: Place, spoil: str, reason: str) -> None:
    place.root(f"{FLIP}cd {REPOSITORY}\n{spoil}")
    drill = place.drill()
    said = "; ".join(text.en for text in drill.reasons())
    assert drill.outcome is Outcome.FAILED, f"{drill.outcome}: {said}\n{drill.said}"
    assert re.search(reason, said), said


def test_the_backup_commands_know_it(place: Place) -> None:
    place.drill()
    found = site(place.lab, [place.host], place.folder)
    work = jobs(found, place.controls, found.hosts.values(), "pgbackrest")
    [made] = [made for result in make(work, lambda *_: None) for made in result.made]
    assert made.good, made.reason
    [state] = [state for answer in survey(work) for state in answer.states]
    assert state.last == made.set
    assert not state.overdue
    assert state.drill is not None  # the ledger's product keeps it
    assert made.set is not None
    assert made.set.bytes > 2**24
    own = "SELECT (SELECT count(*) FROM patient) + (SELECT count(*) FROM busy) + 1"
    assert made.set.rows == int(place.sql(own))


def test_an_old_backup_fails(place: Place) -> None:
    place.root(
        "sed \"s/(:'value', now())/(:'value', now() - interval '3 days')/\" /usr/local/sbin/medsec-database-backup > /root/old\n"
        f"rm -rf {SETS}/2*; sh /root/old run pgbackrest"
    )
    drill = place.drill()
    assert drill.outcome is Outcome.FAILED
    assert [check.id for check in drill.checks if not check.passed] == ["rpo"]


RESEAL = r"""
set -eu
seal() { # FILE
  sed -i '/^{"sha256"/d' "$1.manifest"
  printf '{"sha256": "%s", "bytes": 1}\n' "$(sha256sum < "$1" | cut -d' ' -f1)" >> "$1.manifest"
}
for f in 15-main/*.point; do
  sed -n 1,3p 15-other/postgres.point > new
  sed -n 4p "$f" >> new
  cat new > "$f"
  rm new
  seal "$f"
done
rm -r 15-other
find . -type f ! -name SHA256SUMS ! -name record.json -printf '%P\n' | sort | xargs -d '\n' sha256sum -- > ../SUMS
mv ../SUMS SHA256SUMS
sed -i "s/\"sha256sums\": \"[0-9a-f]*\"/\"sha256sums\": \"$(sha256sum < SHA256SUMS | cut -d' ' -f1)\"/" record.json
"""


def test_two_clusters_pass_and_the_others_backup_fails(place: Place) -> None:
    place.root(
        "pg_createcluster 15 other --start > /dev/null\n"
        "printf '%s\\n' '[other]' pg1-path=/var/lib/postgresql/15/other pg1-port=5433 >> /etc/pgbackrest.conf\n"
        "printf '%s\\n' \"archive_mode = on\" \"archive_command = 'pgbackrest --stanza=other archive-push %p'\" "
        "> /etc/postgresql/15/other/conf.d/pgbackrest.conf\n"
        "systemctl restart postgresql@15-other; cd /; runuser -u postgres -- pgbackrest --stanza=other stanza-create"
    )
    try:
        place.root(f"rm -rf {SETS}/2*")
        place.back_up()
        drill = place.drill()
        assert drill.outcome is Outcome.PASSED, drill.reasons()
        place.root(f"umask 077; cd {SETS}/2*\n{RESEAL}")
        drill = place.drill()
        assert drill.outcome is Outcome.FAILED
        assert "another system's" in drill.reasons()[0].en, drill.reasons()
    finally:
        place.root("pg_dropcluster --stop 15 other")


def test_a_full_scratch_disk_proves_nothing(place: Place) -> None:
    place.root(
        "mkdir -p /mnt/small; mountpoint -q /mnt/small || mount -t tmpfs -o size=20m,mode=755 none /mnt/small"
    )
    drill = place.drill(restore_drill_recent_scratch="/mnt/small/drills")
    assert drill.outcome is Outcome.NOT_MADE
    assert "no room" in drill.reasons()[0].en


def test_a_repository_without_encryption_is_not_used(place: Place) -> None:
    place.root("sed -i '/cipher/d' /etc/pgbackrest.conf")
    with pytest.raises(AssertionError, match="is not encrypted"):
        place.back_up()


def test_it_is_restored_on_its_own_host_alone(place: Place) -> None:
    found = site(place.lab, [place.host], place.folder)
    host = found.hosts[place.host.name]
    elsewhere = dataclasses.replace(host, name="elsewhere")
    with pytest.raises(UsageError, match="leave out --on"):
        drill_restore(found, place.controls, host, PITR, site=place.folder, on=elsewhere)
