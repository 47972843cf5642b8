"""`medsec backup` on a real database server: a backup made now, how it goes wrong, and what there is of backups."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from medsec.catalogue.controls import load_controls
from medsec.inventory import load_inventory
from medsec.lab import Lab, LabHost
from medsec.resources import root
from tests.database_site import PRODUCTS, installing, site

HOME = "/var/backups/medsec"
SECRET = "Pw-4711 '\"$x"


@dataclass
class Place:
    """One database server with its site."""

    host: LabHost
    folder: Path

    def medsec(self, *arguments: str, code: int, language: str = "en") -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("medsec")), "--lang", language, "backup", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def answer(self, *arguments: str, code: int) -> Any:
        return json.loads(self.medsec(*arguments, "--format", "json", code=code).stdout)

    def root(self, script: str) -> str:
        done = self.host.run_as_root(script, timeout=120)
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def place(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Its sudo asks for a password, and it has no Python."""
    host = lab.add_host("backed-up", kind="db", layer="db")
    made = Place(host, tmp_path_factory.mktemp("site"))
    made.root("systemctl is-system-running --wait > /dev/null; true")
    made.root(installing(load_controls(root() / "roles")))
    made.root(
        "systemctl -q enable --now medsec-database-backup@mariadb.timer medsec-database-backup@postgresql.timer"
    )
    made.root(
        "mariadb -e 'CREATE DATABASE his; CREATE TABLE his.patient (id INT PRIMARY KEY); USE his; INSERT INTO patient SELECT seq FROM seq_1_to_500'"
    )
    made.root(f"rm -f /etc/sudoers.d/admin\nchpasswd << 'END'\nadmin:{SECRET}\nEND\nrm -f /usr/bin/python3*")
    site(lab, [host], made.folder)
    hosts = made.folder / "inventory/hosts.yml"
    value = yaml.safe_load(hosts.read_text(encoding="utf-8"))
    secret = made.folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET + "\n", encoding="utf-8")
    value["all"]["hosts"][host.name]["medsec_become_password_from"] = f"file:{secret}"
    # Nobody answers there.
    value["all"]["hosts"]["gone"] = {**value["all"]["hosts"][host.name], "ansible_port": 9}
    hosts.write_text(yaml.safe_dump(value), encoding="utf-8")
    ledger = made.folder / "inventory/group_vars/all/ledger.yml"
    value = yaml.safe_load(ledger.read_text(encoding="utf-8"))
    value["ledger"]["hosts"]["gone"] = value["ledger"]["hosts"][host.name]
    ledger.write_text(yaml.safe_dump(value), encoding="utf-8")
    load_inventory(made.folder / "inventory")
    yield made
    lab.remove_host(host.name)


@pytest.fixture(autouse=True)
def no_backups(place: Place) -> None:
    place.root(f"rm -rf {HOME}/*/2*; systemctl reset-failed")


def test_a_backup_is_made_now_as_the_timer_would(place: Place) -> None:
    done = place.medsec("now", "--host", "backed-up", code=0)
    for product in PRODUCTS:
        assert f"backed-up\t{product}\tbacked up\t2" in done.stdout
    assert "backed-up mariadb: " in done.stderr  # it tells as it goes
    said = place.root(
        "journalctl --sync; journalctl -q -o cat -u medsec-database-backup@mariadb.service | tail -n 1"
    )
    assert "Finished" in said or "Consumed" in said, said
    states = place.answer("status", "--host", "backed-up", code=0)
    assert [(state["system"], state["overdue"], state["places"]) for state in states] == [
        (product, False, ["backed-up"]) for product in PRODUCTS
    ]
    assert all(state["next_run"] and state["free_bytes"] > 0 and state["drill"] is None for state in states)
    [mariadb] = place.answer("list", "--host", "backed-up", "--system", "mariadb", code=0)
    held = int(place.root(f"cat {HOME}/mariadb/*/*.manifest | grep -c '\"table\"'"))
    assert (mariadb["sealed"], mariadb["tables"]) == (True, held)
    assert mariadb["rows"] > 500
    assert "已封存" in place.medsec("list", "--host", "backed-up", code=0, language="zh").stdout


def test_a_dump_that_ends_while_it_is_looked_at_is_a_good_one(place: Place) -> None:
    """A busy server takes longer to look for a small dump's first words than to write it whole."""
    slow = place.root(
        "slow=$(mktemp -d)\n"
        "printf '#!/bin/sh\\n/usr/bin/grep \"$@\"\\nfound=$?\\nsleep 0.5\\nexit $found\\n' > $slow/grep\n"
        "chmod 755 $slow/grep; echo $slow"
    ).strip()
    place.root(f"set -e; PATH={slow}:$PATH medsec-database-backup run mariadb; rm -r {slow}")
    assert place.answer("list", "--host", "backed-up", "--system", "mariadb", code=0)[0]["sealed"]


def test_a_failing_backup_says_why(place: Place) -> None:
    place.root("systemctl stop mariadb")
    try:
        done = place.medsec("now", "--host", "backed-up", code=1)
    finally:
        place.root("systemctl start mariadb")
    [failed] = [line for line in done.stdout.splitlines() if "\tmariadb\t" in line]
    assert "FAILED" in failed
    assert "Can't connect" in failed or "2002" in failed, failed
    assert "backed-up\tpostgresql\tbacked up" in done.stdout
    assert SECRET not in done.stdout + done.stderr


def test_a_backup_without_a_whole_set_is_none(place: Place) -> None:
    """The unit ends well, and what it left is not sealed."""
    place.root(
        "cp /usr/local/sbin/medsec-database-backup /root/program\n"
        "printf '#!/bin/sh\\nmkdir -p %s/mariadb/20990101T000000Z\\n' "
        + HOME
        + " > /usr/local/sbin/medsec-database-backup"
    )
    try:
        done = place.medsec("now", "--host", "backed-up", "--system", "mariadb", code=1)
    finally:
        place.root("cp /root/program /usr/local/sbin/medsec-database-backup")
    assert "no new backup that is whole" in done.stdout
    assert place.answer("status", "--host", "backed-up", "--system", "mariadb", code=1)[0]["last"] is None


@pytest.mark.parametrize(
    ("spoil", "overdue"),
    [
        ("true", False),
        ('sed -i \'s/"started": "[^"]*"/"started": "2020-01-01T00:00:00Z"/\' record.json', True),
        ('sed -i \'s/"started": "[^"]*"/"started": "2099-01-01T00:00:00Z"/\' record.json', True),
        ("rm record.json", True),
        ("echo x >> SHA256SUMS", True),
        ("rm -rf $PWD", True),
    ],
    ids=["good", "old", "of_tomorrow", "cut_short", "altered", "none"],
)
def test_an_overdue_backup_is_told(place: Place, spoil: str, overdue: bool) -> None:
    place.root(f"medsec-database-backup run mariadb && cd {HOME}/mariadb/2* && {spoil}")
    done = place.medsec("status", "--host", "backed-up", "--system", "mariadb", code=int(overdue))
    assert ("OVERDUE" in done.stdout) is overdue


def test_a_host_that_does_not_answer_stops_no_other(place: Place) -> None:
    done = place.medsec("now", "--system", "mariadb", code=3)
    assert "backed-up\tmariadb\tbacked up" in done.stdout
    assert done.stderr.count("medsec: host gone") == 1
    done = place.medsec("status", "--system", "mariadb", code=3)
    assert "in time" in done.stdout
    assert "medsec: host gone" in done.stderr


def test_what_is_not_there_is_refused(place: Place) -> None:
    assert "registers no oracle" in place.medsec("status", "--system", "oracle", code=2).stderr
    place.medsec("list", "--host", "nobody", code=2)
    place.root(
        "systemctl -q disable --now medsec-database-backup@mariadb.timer; mv /etc/systemd/system/medsec-database-backup@.timer /root"
    )
    place.root("systemctl daemon-reload")
    try:
        done = place.medsec("now", "--host", "backed-up", "--system", "mariadb", code=1)
    finally:
        place.root(
            "mv /root/medsec-database-backup@.timer /etc/systemd/system/; systemctl daemon-reload; systemctl -q enable --now medsec-database-backup@mariadb.timer"
        )
    assert "is not installed" in done.stdout
