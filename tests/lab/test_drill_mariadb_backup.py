"""mariadb-backup's drill on a real server: good backups pass, also of a busy server, and each wrong one is red for its reason."""

from __future__ import annotations

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
from medsec.lab import Lab, LabHost
from medsec.resources import root
from tests.database_site import installing, site

SETS, KEY = "/var/backups/medsec/mariadb-backup", "/etc/medsec/mariadb-backup.key"
UNIT = "medsec-database-backup@mariadb-backup.service"
# As docs/backups.md says it.
SETUP = f"""
set -eu
mkdir /etc/systemd/system/medsec-database-backup@mariadb-backup.service.d
printf '[Service]\nReadWritePaths=/var/lib/mysql\n' > /etc/systemd/system/medsec-database-backup@mariadb-backup.service.d/elsewhere.conf
systemctl daemon-reload
install -d -o mysql -g mysql -m 700 /srv/tables
apt-get -qq -o Dpkg::Use-Pty=0 install mariadb-backup > /dev/null 2>&1
(umask 077; mkdir -p /etc/medsec; openssl rand -hex 32 > {KEY})
mariadb << 'SQL'
CREATE DATABASE `h i%s/`;
USE `h i%s/`;
CREATE TABLE `pat``ient` (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40), weight FLOAT, photo BLOB);
INSERT INTO `pat``ient` (name, weight, photo) SELECT CONCAT('张\\t三', seq), RAND(), UNHEX(MD5(seq)) FROM seq_1_to_5000;
CREATE TABLE old (id INT PRIMARY KEY) ENGINE=MyISAM AS SELECT seq AS id FROM seq_1_to_100;
CREATE TABLE elsewhere (id INT PRIMARY KEY) DATA DIRECTORY='/srv/tables' AS SELECT seq AS id FROM seq_1_to_10;
CREATE TABLE seen (id INT) ENGINE=MEMORY AS SELECT 1 AS id;
CREATE TABLE busy (n INT PRIMARY KEY AUTO_INCREMENT, at DATETIME(6));
CREATE TABLE busy_old (n INT PRIMARY KEY AUTO_INCREMENT, at DATETIME(6)) ENGINE=MyISAM;
SQL
"""
# Two who write without a pause, one of them into a table without transactions, and one who makes tables.
WRITERS = r"""
cat > /root/writer << 'WRITER'
case $1 in
  1) while :; do echo 'INSERT INTO busy (at) VALUES (NOW(6)); UPDATE busy SET at = NOW(6) WHERE n = 3;'; done ;;
  2) while :; do echo 'INSERT INTO busy_old (at) VALUES (NOW(6)); DO SLEEP(0.001);'; done ;;
  3) n=0; while n=$((n + 1)); do echo "CREATE TABLE new$n AS SELECT * FROM old;"; sleep 0.3; done ;;
esac | mariadb 'h i%s/'
WRITER
for n in 1 2 3; do systemd-run -q --unit=writer$n sh /root/writer $n; done
n=0; until [ "$(mariadb -NBe 'SELECT COUNT(*) > 200 FROM `h i%s/`.busy_old')" = 1 ]; do n=$((n + 1)); [ $n -lt 200 ]; sleep 0.1; done
"""
SHELL = rf"""
umask 077
set -eu
cipher() {{ openssl enc -aes-256-ctr -pbkdf2 -iter 10000 -md sha256 -pass file:{KEY} "$@"; }}
opened() {{ cipher -d < $archive | gzip -dc; }}
shut() {{ gzip -1 | cipher > ../new; mv ../new $archive; }}
flip() {{ printf 'XXXX' | dd of=$archive bs=1 seek=$(($(stat -c %s $archive) / 2)) conv=notrunc status=none; }}
seal() {{ # as one would who wants the digests to fit again
  for f in *.point; do
    sed -i "2s/.*/$(sha256sum < $archive | cut -d' ' -f1)/" "$f"
    [ -f "$f.manifest" ] || continue
    sed -i '/^{{"sha256"/d' "$f.manifest"
    printf '{{"sha256": "%s", "bytes": 1}}\n' "$(sha256sum < "$f" | cut -d' ' -f1)" >> "$f.manifest"
  done
  find . -type f ! -name SHA256SUMS ! -name record.json -printf '%P\n' | sort | xargs -d '\n' sha256sum -- > ../SUMS
  mv ../SUMS SHA256SUMS
  sed -i "s/\"sha256sums\": \"[0-9a-f]*\"/\"sha256sums\": \"$(sha256sum < SHA256SUMS | cut -d' ' -f1)\"/" record.json
}}
archive=server.mbstream.gz.enc
cd {SETS}/2*
"""


@dataclass
class Place:
    """A server with a good backup, of which a copy is kept in /root/good, and the key in /root/key."""

    lab: Lab
    host: LabHost
    folder: Path
    controls: Controls

    def drill(self, **variables: object) -> Drill:
        found = site(self.lab, [self.host], self.folder, **variables)
        host = found.hosts[self.host.name]
        drill, folder = drill_restore(found, self.controls, host, ENGINES["mariadb-backup"], site=self.folder)
        assert load(folder)["outcome"] == drill.outcome
        return drill

    def root(self, script: str) -> str:
        done = self.host.run_as_root(script, timeout=180)
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def sql(self, statement: str) -> str:
        return self.root(f"mariadb -NB 'h i%s/' << 'SQL'\n{statement}\nSQL")

    def back_up(self) -> None:
        self.root(
            f"rm -rf {SETS}/2*; systemctl start {UNIT} || "
            f"{{ journalctl --sync; journalctl -q -o cat -n 20 -u {UNIT} >&2; exit 1; }}"
        )

    def left(self) -> str:
        return self.root(
            "ls -A /var/lib/medsec-scratch /mnt/small 2> /dev/null | grep medsec-drill; ps -eo args= | grep '[m]edsec-scratch'; "
            f"systemctl list-units --plain --no-legend 'medsec-drill*'; ls -A {SETS} | grep partial; ps -eo args= | grep '[m]bstream'; true"
        )


@pytest.fixture(scope="module")
def place(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    controls = load_controls(root() / "roles")
    host = lab.add_host("physical", kind="db", layer="db")
    made = Place(lab, host, tmp_path_factory.mktemp("site"), controls)
    made.root("systemctl is-system-running --wait > /dev/null; true")
    made.root(installing(controls))
    made.root(SETUP)
    made.back_up()
    made.root(f"cp -a {SETS} /root/good; cp -p {KEY} /root/key")
    yield made
    lab.remove_host(host.name)


@pytest.fixture(autouse=True)
def nothing_left(place: Place) -> Iterator[None]:
    """Each case starts from the good backup, and leaves neither a scratch server nor half a backup."""
    yield
    left = place.left()
    place.root(f"rm -rf {SETS}; cp -a /root/good {SETS}; cp -p /root/key {KEY}")
    assert left == ""


def test_a_good_backup_passes(place: Place) -> None:
    """What was written later is not there, and the live server is left alone."""
    place.sql("DELETE FROM `pat``ient` WHERE id > 4000; DELETE FROM elsewhere")
    try:
        drill = place.drill()
        assert drill.outcome is Outcome.PASSED, drill.reasons()
        assert drill.rows > 5110
        assert drill.rto is not None and drill.rpo is not None
        assert place.root(f"cat {SETS}/2*/*.manifest | grep -c '\"seen\"'; true").strip() == "0"
        the_backup_commands_know_it(place, drill)
    finally:
        place.sql(
            "INSERT INTO `pat``ient` (id) SELECT seq FROM seq_4001_to_5000; INSERT INTO elsewhere SELECT seq FROM seq_1_to_10"
        )


def the_backup_commands_know_it(place: Place, drill: Drill) -> None:
    found = site(place.lab, [place.host], place.folder)
    work = jobs(found, place.controls, found.hosts.values(), "mariadb-backup")
    [made] = [made for result in make(work, lambda *_: None) for made in result.made]
    assert made.good, made.reason
    [state] = [state for answer in survey(work) for state in answer.states]
    assert state.last == made.set
    assert not state.overdue
    assert state.drill is not None and state.drill.outcome == drill.outcome
    assert made.set is not None and made.set.rows is not None
    assert 4000 < made.set.rows < drill.rows
    assert made.set.bytes > 2**18


def test_a_backup_while_others_write_passes(place: Place) -> None:
    """What the manifests say is true of the very commit at which the copy ends."""
    place.root(WRITERS)
    try:
        place.back_up()
        drill = place.drill()
        assert drill.outcome is Outcome.PASSED, drill.reasons()
        for table in ("busy", "busy_old"):
            [told] = re.findall(rf'"{table}", "rows": (\d+)', place.root(f"cat {SETS}/2*/h*.manifest"))
            assert 100 < int(told) < int(place.sql(f"SELECT MAX(n) FROM {table}"))
    finally:
        place.root("systemctl stop writer1 writer2 writer3")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ("flip", "not those that were backed up"),
        ("flip; seal", "cannot be restored: server.*error"),
        ("truncate -s $(($(stat -c %s $archive) / 2)) $archive; seal", "cannot be restored: .*unexpected end"),
        ("opened | head -c 9999999 | shut; seal", "cannot be restored: server.*read_chunk"),
        (": | shut; seal", "the copy has no end"),
        (f"openssl rand -hex 32 > {KEY}", "made with another key than /etc/medsec/"),
        ("rm h*.manifest; seal", "has no manifest"),
        ("sed -i 's/: 5000/: 5/' h*.manifest; seal", "has 5000 rows, not 5"),
        (f"rm -r {SETS}/2*", "there is no backup"),
    ],
    ids=[
        "flipped_bytes",
        "flipped_bytes_resealed",
        "truncated_resealed",
        "truncated_stream",
        "empty_stream",
        "wrong_key",
        "no_manifest",
        "manifest_altered",
        "no_backup",
    ],
)  # fmt: skip
def test_a_wrong_backup_fails_for_its_reason(place: Place, spoil: str, reason: str) -> None:
    place.root(f"{SHELL}{spoil}")
    drill = place.drill()
    said = "; ".join(text.en for text in drill.reasons())
    assert drill.outcome is Outcome.FAILED, f"{drill.outcome}: {said}\n{drill.said}"
    assert re.search(reason, said), said


def test_another_servers_backup_fails(place: Place) -> None:
    """Also where only its archive was put under the manifests of this one."""
    own = "SELECT system FROM medsec.canary"
    system = place.sql(own).strip()
    place.sql("UPDATE medsec.canary SET system = UUID()")
    place.back_up()
    place.sql(f"UPDATE medsec.canary SET system = '{system}'")
    drill = place.drill()
    assert "the backup is another system's" in drill.reasons()[0].en
    place.root(
        f"mv {SETS}/2*/server* /root/theirs; rm -r {SETS}; cp -a /root/good {SETS}\n{SHELL}mv /root/theirs $archive; seal"
    )
    drill = place.drill()
    assert drill.outcome is Outcome.FAILED
    assert re.search("cannot be restored: .*another system's", drill.reasons()[0].en), drill.reasons()


def test_an_old_backup_of_an_emptied_server_fails(place: Place) -> None:
    """Empty equals empty: only the least number of rows tells."""
    place.root(
        "sed \"s/'\\$canary', UNIX_TIMESTAMP())/'$canary', UNIX_TIMESTAMP() - 259200)/; "
        's/renewed = VALUES(renewed)/renewed = UNIX_TIMESTAMP() - 259200/" /usr/local/sbin/medsec-database-backup > /root/old\n'
        "mariadb-dump --databases 'h i%s/' > /root/dump"
    )
    place.sql("DROP DATABASE `h i%s/`")
    try:
        place.root(f"rm -rf {SETS}/2*; sh /root/old run mariadb-backup")
        drill = place.drill()
        assert drill.outcome is Outcome.FAILED
        assert [check.id for check in drill.checks if not check.passed] == ["rows", "rpo"]
    finally:
        place.root("mariadb < /root/dump")


def test_a_full_scratch_disk_and_a_missing_key_prove_nothing(place: Place) -> None:
    place.root(
        "mkdir -p /mnt/small; mountpoint -q /mnt/small || mount -t tmpfs -o size=20m,mode=755 none /mnt/small"
    )
    drill = place.drill(restore_drill_recent_scratch="/mnt/small/drills")
    assert drill.outcome is Outcome.NOT_MADE
    assert "no room" in drill.reasons()[0].en
    place.root(f"rm {KEY}")
    drill = place.drill()
    assert drill.outcome is Outcome.NOT_MADE
    assert f"the target lacks {KEY}" in drill.reasons()[0].en


def test_what_is_missing_is_said(place: Place) -> None:
    for lacking, words in (
        (f"chmod 644 {KEY}", f"others than root may read {KEY}: chown root"),
        (f"rm {KEY}", "no key for the encryption: (umask 077; mkdir -p /etc/medsec; openssl rand"),
        ("dpkg --remove mariadb-backup > /dev/null", "no mariadb-backup: install"),
    ):
        place.root(lacking)
        with pytest.raises(AssertionError, match=re.escape(words)):
            place.back_up()
    place.root("apt-get -qq -o Dpkg::Use-Pty=0 install mariadb-backup > /dev/null 2>&1")


def test_a_server_is_let_go_when_a_backup_breaks_off(place: Place) -> None:
    """The shell is killed while nobody may commit: nobody waits for it any longer."""
    place.root(
        f"systemctl stop {UNIT}; sed 's/^  : > \"$partial\\/.go\"/  kill -9 $$/' /usr/local/sbin/medsec-database-backup > /root/dying\n"
        "grep -q 'kill -9 ' /root/dying\n! sh /root/dying run mariadb-backup 2> /dev/null"
    )
    place.root("timeout 10 mariadb 'h i%s/' -e 'INSERT INTO busy (at) VALUES (NOW(6))'")
    place.root("n=0; while ps -eo args= | grep -q '[m]bstream'; do n=$((n + 1)); [ $n -lt 100 ]; sleep 0.1; done")
    place.back_up()
