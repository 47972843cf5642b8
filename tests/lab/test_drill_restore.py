"""The drill's own trial: good backups of both databases pass, and each wrong one turns it red for the right reason."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from medsec.catalogue.controls import Controls, load_controls
from medsec.drills.engines import ENGINES
from medsec.drills.record import Drill, Outcome, load
from medsec.drills.restore import drill_restore
from medsec.errors import MedsecError, UsageError
from medsec.evidence.findings import Verdict
from medsec.inventory import Inventory
from medsec.judge.judge import judge
from medsec.lab import Lab, LabHost
from medsec.resources import root
from tests.database_site import PRODUCTS, installing, site

HOME = "/var/backups/medsec"

# A patient's table in each database, and what the shell of the cases shares. Each case works on $set, a copy of a good backup.
DATA = r"""
cd /
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c 'CREATE DATABASE "h i%s/"'
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -d 'h i%s/' << 'SQL'
CREATE TABLE patient (id serial PRIMARY KEY, name text, seen timestamptz DEFAULT now(), weight float8, fee money, medsec text);
INSERT INTO patient (name, weight, fee) SELECT E'张\t三' || i, random(), i FROM generate_series(1, 5000) AS i;
CREATE TABLE "odd ""t'able\" (a int[]);
INSERT INTO "odd ""t'able\" VALUES ('{1,2}'), (NULL);
CREATE ROLE his LOGIN PASSWORD 'Abcd1234!x';
GRANT SELECT ON patient TO his;
SQL
mariadb << 'SQL'
CREATE DATABASE `h i%s`;
USE `h i%s`;
CREATE TABLE `h i%s`.`pat``ient` (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40), weight FLOAT, seen TIMESTAMP DEFAULT NOW(), photo BLOB);
INSERT INTO `h i%s`.`pat``ient` (name, weight, photo) SELECT CONCAT('张\t三', seq), RAND(), UNHEX(MD5(seq)) FROM seq_1_to_5000;
INSERT INTO `h i%s`.`pat``ient` (name) VALUES (NULL);
CREATE TABLE price (code INT PRIMARY KEY, yuan DECIMAL(9, 2), since TIMESTAMP(6) GENERATED ALWAYS AS ROW START,
  until TIMESTAMP(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (since, until)) WITH SYSTEM VERSIONING;
INSERT INTO price (code, yuan) VALUES (1, 12.50), (2, 3);
UPDATE price SET yuan = 4 WHERE code = 2;
CREATE TABLE ward (bed INT) WITH SYSTEM VERSIONING;
INSERT INTO ward VALUES (7);
CREATE SEQUENCE receipt START WITH 100 INCREMENT BY 3;
SELECT NEXTVAL(receipt);
CREATE USER his@localhost IDENTIFIED BY 'Abcd1234!x';
SQL
"""
SHELL = r"""
umask 077
set -eu
seal() { # as one would who wants the digests to fit again
  find . -name '*.manifest' | while IFS= read -r m; do
    d=${m%.manifest}
    if [ -f "$d" ]; then
      sed -i '/^{"sha256"/d' "$m"
      printf '{"sha256": "%s", "bytes": 1}\n' "$(sha256sum < "$d" | cut -d' ' -f1)" >> "$m"
    fi
  done
  find . -type f ! -name SHA256SUMS ! -name record.json -printf '%P\n' | sort | xargs -d '\n' sha256sum -- > ../SUMS
  mv ../SUMS SHA256SUMS
  sed -i "s/\"sha256sums\": \"[0-9a-f]*\"/\"sha256sums\": \"$(sha256sum < SHA256SUMS | cut -d' ' -f1)\"/" record.json
}
cd "$set"
if [ "$product" = postgresql ]; then
  dump=$(find . -name 'h i*.dump') canary=15-main/medsec.dump
else
  dump=$(find . -name 'h i*.gz') canary=medsec.sql.gz
fi
size=$(stat -c %s "$dump")
"""


@dataclass(frozen=True)
class Case:
    """A wrong backup: how it is made, and a word of the reason that the drill must give."""

    name: str
    shell: str
    reason: str
    product: str | None = None


CASES = (
    Case("flipped_bytes", "printf 'XXXX' | dd of=\"$dump\" bs=1 seek=$((size / 2)) conv=notrunc status=none", "not those that were backed up"),
    Case("flipped_bytes_resealed", "printf 'XXXX' | dd of=\"$dump\" bs=1 seek=$((size / 2)) conv=notrunc status=none; seal", "cannot be restored"),
    Case("truncated_resealed", 'truncate -s $((size / 2)) "$dump"; seal', "cannot be restored"),
    Case("empty_dump", ': > "$dump"; seal', "cannot be restored"),
    Case("another_systems", "sed -i '1s/\"system\"\\( *\\): *\"[^\"]*\"/\"system\"\\1: \"4711\"/' $(find . -name 'm*.manifest'); seal", "another system's"),
    Case("of_another_run", "sed -i '1s/\"canary\"\\( *\\): *\"[^\"]*\"/\"canary\"\\1: \"4711\"/' \"$dump.manifest\"; seal", "different runs"),
    Case("manifest_altered", "sed -i 's/500[01]/5/' \"$dump.manifest\"", "not those that were backed up"),
    Case("manifest_altered_resealed", "sed -i 's/500[01]/5/' \"$dump.manifest\"; seal", "rows, not 5"),
    Case("manifest_hash_altered", "sed -i 's/\"hash\"\\( *: *\\)\"/\"hash\"\\1\"7/' \"$dump.manifest\"; seal", "other contents"),
    Case("manifest_cut_short", "sed -i '$d' \"$dump.manifest\"", "was cut short"),
    Case("no_manifest", 'rm "$dump.manifest"; seal', "has no manifest"),
    Case("readable_by_others", 'chmod 644 "$dump"', "others than root may reach the backup"),
    Case("owned_by_another", 'chown daemon "$dump"', "others than root may reach the backup"),
    Case("unreadable", 'rm "$dump"; mkdir -m 700 "$dump"', "not those that were backed up|was changed after it was made"),
    Case("a_file_too_many", "touch left-over", "changed after it was made: left-over"),
    Case("table_missing", "(cd / && runuser -u postgres -- pg_dump -Fc -T patient 'h i%s/') > \"$dump\"; seal", "public.patient is missing", "postgresql"),
    Case("table_missing", "mariadb-dump --ignore-table='h i%s.pat`ient' --databases 'h i%s' | gzip > \"$dump\"; seal", "pat`ient is missing", "mariadb"),
    Case("versioned_table_missing", "mariadb-dump --ignore-table='h i%s.price' --databases 'h i%s' | gzip > \"$dump\"; seal", "price is missing", "mariadb"),
    Case("sequence_missing", "mariadb-dump --ignore-table='h i%s.receipt' --databases 'h i%s' | gzip > \"$dump\"; seal", "receipt is missing", "mariadb"),
    Case(
        "canary_missing",
        "(cd / && runuser -u postgres -- pg_dump -Fc -s medsec) > $canary\n"
        "sed -i 's/\"rows\" : 1, \"hash\" : \"[-0-9]*\"/\"rows\" : 0, \"hash\" : \"0\"/' $canary.manifest; seal",
        "canary row is missing",
        "postgresql",
    ),
    Case(
        "canary_missing",
        "gzip -dc $canary | sed '/^INSERT INTO/,/;$/d' | gzip > x; mv x $canary\n"
        "sed -i 's/\"rows\": 1, \"hash\": \"[0-9]*\"/\"rows\": 0, \"hash\": \"0\"/' $canary.manifest; seal",
        "canary row is missing",
        "mariadb",
    ),
)  # fmt: skip


@dataclass
class Place:
    """The database server of this file, its site, and the good backups that the cases start from."""

    lab: Lab
    host: LabHost
    folder: Path
    controls: Controls
    good: dict[str, str]

    def inventory(self, **variables: object) -> Inventory:
        return site(self.lab, [self.host], self.folder, **variables)

    def drill(self, product: str, inventory: Inventory | None = None, on: str | None = None) -> Drill:
        found = inventory or self.inventory()
        target = found.hosts[on] if on else None
        drill, folder = drill_restore(
            found, self.controls, found.hosts[self.host.name], ENGINES[product], site=self.folder, on=target
        )
        assert load(folder)["outcome"] == drill.outcome
        return drill

    def root(self, script: str) -> str:
        done = self.host.run_as_root(script, timeout=180)
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def left(self) -> str:
        return self.root(
            "ls -A /var/lib/medsec-scratch /mnt/small 2> /dev/null | grep medsec-drill; ps -eo args= | grep '[m]edsec-scratch'; "
            "systemctl list-units --plain --no-legend 'medsec-drill*'; true"
        )


@pytest.fixture(scope="module")
def place(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    controls = load_controls(root() / "roles")
    host = lab.add_host("drilled", kind="db", layer="db")
    made = Place(lab, host, tmp_path_factory.mktemp("site"), controls, {})
    made.root("systemctl is-system-running --wait > /dev/null; true")
    made.root(installing(controls))
    made.root(DATA)
    for product in PRODUCTS:
        made.good[product] = back_up(made, product)
    yield made
    lab.remove_host(host.name)


def back_up(place: Place, product: str, program: str = "medsec-database-backup") -> str:
    """Make a backup, put it out of the drill's sight, and return where."""
    return place.root(
        f"set -eu\n{program} run {product}\nmkdir -p -m 700 /root/kept\ncd {HOME}/{product}\nset=$(ls -d 2*)\n"
        f"kept=$(mktemp -d -p /root/kept)\nmv $set $kept/\necho $kept/$set"
    ).strip()  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_left(place: Place) -> Iterator[None]:
    """Whatever a case did, no scratch server may be left, and the next case must find no backup."""
    yield
    left = place.left()
    place.root(f"rm -rf {HOME}/*/2*")
    assert left == ""


def lay(place: Place, product: str, shell: str = "true", good: str | None = None) -> None:
    """Lay a copy of a good backup where the drill looks, and let `shell` spoil it."""
    kept = good or place.good[product]
    target = f"{HOME}/{product}/{kept.rpartition('/')[2]}"
    place.root(f"cp -a {kept} {target}\nset={target} product={product}\n{SHELL}\n{shell}")


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_good_backup_passes_again_and_again(place: Place, product: str) -> None:
    lay(place, product)
    for _ in range(int(os.environ.get("MEDSEC_GOOD_DRILLS", "2"))):
        drill = place.drill(product)
        assert drill.outcome is Outcome.PASSED, drill.reasons()
        assert drill.rto is not None and drill.rpo is not None and drill.rpo > 0
        assert drill.rows > 5000
        assert place.left() == ""


@pytest.mark.parametrize(
    ("product", "case"),
    [(product, case) for product in PRODUCTS for case in CASES if case.product in (None, product)],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_wrong_backup_fails_for_its_reason(place: Place, product: str, case: Case) -> None:
    lay(place, product, case.shell)
    drill = place.drill(product)
    said = "; ".join(reason.en for reason in drill.reasons())
    assert drill.outcome is Outcome.FAILED, f"{drill.outcome}: {said}"
    assert any(reason in said for reason in case.reason.split("|")), said


@pytest.mark.parametrize("product", PRODUCTS)
def test_an_old_backup_under_a_new_name_fails(place: Place, product: str) -> None:
    place.root(
        "sed \"s/(:'value', now())/(:'value', now() - interval '3 days')/; s/'\\$canary', UNIX_TIMESTAMP())/'$canary', UNIX_TIMESTAMP() - 259200)/; "
        's/renewed = VALUES(renewed)/renewed = UNIX_TIMESTAMP() - 259200/" /usr/local/sbin/medsec-database-backup > /root/old; chmod 755 /root/old'
    )
    lay(place, product, good=back_up(place, product, "/root/old"))
    drill = place.drill(product)
    assert drill.outcome is Outcome.FAILED
    assert [check.id for check in drill.checks if not check.passed] == ["rpo"]


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_backup_of_an_emptied_server_fails(place: Place, product: str) -> None:
    """Empty equals empty: only the least number of rows tells."""
    if product == "postgresql":
        place.root(
            "cd / && runuser -u postgres -- psql -q -d 'h i%s/' << 'SQL'\nTRUNCATE patient, \"odd \"\"t'able\\\";\nSQL\n"
        )
    else:
        emptied = "TRUNCATE TABLE `pat``ient`; DELETE FROM price; DELETE FROM ward"
        place.root(f"mariadb 'h i%s' -e '{emptied}'")
    lay(place, product, good=back_up(place, product))
    drill = place.drill(product)
    assert drill.outcome is Outcome.FAILED
    assert [check.id for check in drill.checks if not check.passed] == ["rows"]


@pytest.mark.parametrize("product", PRODUCTS)
def test_no_backup_fails(place: Place, product: str) -> None:
    drill = place.drill(product)
    assert drill.outcome is Outcome.FAILED
    assert "there is no backup" in drill.reasons()[0].en


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_full_scratch_disk_says_so_and_proves_nothing(place: Place, product: str) -> None:
    lay(place, product)
    place.root(
        "mkdir -p /mnt/small; mountpoint -q /mnt/small || mount -t tmpfs -o size=20m,mode=755 none /mnt/small"
    )
    drill = place.drill(product, place.inventory(restore_drill_recent_scratch="/mnt/small/drills"))
    assert drill.outcome is Outcome.NOT_MADE
    assert "no room" in drill.reasons()[0].en


@pytest.mark.parametrize(
    "scratch",
    [
        "/var/lib/postgresql/15/main",
        "/var/lib/mysql",
        "/var/lib/mysql/his",
        "/var/lib/postgresql",
        "/srv/../var/lib",
    ],
)
def test_a_live_servers_folder_is_refused(place: Place, scratch: str) -> None:
    lay(place, "postgresql")
    before = place.root("ls -A /var/lib/postgresql/15/main /var/lib/mysql | sort | sha256sum")
    with pytest.raises(UsageError):
        place.drill("postgresql", place.inventory(restore_drill_recent_scratch=scratch))
    assert place.root("ls -A /var/lib/postgresql/15/main /var/lib/mysql | sort | sha256sum") == before


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_killed_controller_leaves_no_server_and_no_half_record(place: Place, product: str) -> None:
    lay(place, product)
    found = place.inventory()
    before = place.root("find /var/lib/medsec/drills -type f ! -name .lock | sort")
    command = [
        Path(sys.executable).with_name("medsec"),
        "--lang",
        "en",
        "drill",
        "restore",
        "-i",
        found.path,
        "--host",
        place.host.name,
    ]
    process = subprocess.Popen(
        [*map(str, command), "--system", product],
        cwd=place.folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "restore" in line:
            break
    assert "medsec-scratch" in place.left()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    deadline = time.monotonic() + 30
    while place.left() and time.monotonic() < deadline:
        time.sleep(1)
    assert place.left() == ""
    assert place.root("find /var/lib/medsec/drills -type f ! -name .lock | sort") == before
    assert not list((place.folder / "drills").glob(".*"))
    assert place.drill(product).outcome is Outcome.PASSED


def test_a_drill_on_another_host(place: Place) -> None:
    other = place.lab.add_host("drill-other", kind="db", layer="db")
    try:
        found = site(place.lab, [place.host, other], place.folder)
        for product in PRODUCTS:
            lay(place, product)
            drill = place.drill(product, found, on=other.name)
            assert drill.outcome is Outcome.PASSED, drill.reasons()
            assert (drill.host, drill.target) == (place.host.name, other.name)
        assert other.run_as_root("ls -A /var/lib/medsec-scratch /var/backups").stdout.count("medsec-drill") == 0
    finally:
        place.lab.remove_host(other.name)


def test_the_control_believes_what_the_drill_keeps(place: Place) -> None:
    found = place.inventory()

    def verdict() -> tuple[Verdict, str]:
        [finding] = judge(found, [found.hosts[place.host.name]], [place.controls["restore_drill_recent"]]).findings
        return finding.verdict, finding.text.en

    for product in PRODUCTS:
        lay(place, product)
        for _ in range(2):
            place.drill(product)
    assert verdict()[0] is Verdict.PASS, verdict()
    place.root(f"rm -rf {HOME}/mariadb/2*")
    place.drill("mariadb")
    assert verdict() == (Verdict.FAIL, verdict()[1])
    assert "did not pass: failed" in verdict()[1]
    place.root("cd /var/lib/medsec/drills/postgresql && rm $(ls | tail -n 2 | head -n 1)")
    assert "cannot be believed" in verdict()[1]


def test_an_altered_record_is_refused(place: Place) -> None:
    place.drill("mariadb")
    folder = max((place.folder / "drills").iterdir())
    record = folder / "record.json"
    record.write_text(record.read_text(encoding="utf-8").replace('"failed"', '"passed"'), encoding="utf-8")
    with pytest.raises(MedsecError, match="changed after the drill"):
        load(folder)
