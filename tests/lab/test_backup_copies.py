"""Copies of backups on another host: fetched, proved and kept, whatever becomes of the server that made the backups."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from medsec.catalogue.controls import load_controls
from medsec.engines.base import Work
from medsec.engines.registry import engine
from medsec.evidence.findings import Verdict
from medsec.inventory import Inventory
from medsec.lab import Lab, LabHost
from medsec.resources import root
from tests import ledger_site
from tests.database_site import installing

OFFERED, COPIED = "backups_offered_for_copy", "backups_copied_off_server"
HOME, BACKUPS = "/var/backups/medsec-copies", "/var/backups/medsec"
RESTIC = (
    f"export RESTIC_REPOSITORY={HOME}/repository RESTIC_PASSWORD_FILE=/etc/medsec-backup-copies/password\n"
    'restic() { command restic --no-cache -q "$@"; }\n'
)
SSH = "ssh -n -F /dev/null -i /etc/medsec-backup-copies/id_ed25519 -o BatchMode=yes -o UserKnownHostsFile=/etc/medsec-backup-copies/known_hosts -o HostKeyAlias=source"
PULL = "systemctl reset-failed; systemctl start medsec-backup-copies.service"


@dataclass
class Place:
    """A database server, the host that keeps its copies, and their site."""

    lab: Lab
    hosts: dict[str, LabHost]
    folder: Path
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    sets: int = 0

    def root(self, name: str, script: str, code: int = 0) -> str:
        done = self.hosts[name].run_as_root(script, timeout=120)
        assert done.returncode == code, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def site(self) -> Inventory:
        source, keeper = self.hosts["source"], self.hosts["keeper"]
        copied = {"host": "keeper", "address": keeper.address} | self.keys.get("source", {})
        copies = {"host": "source", "address": source.address, "systems": ["postgresql", "mariadb"]}
        entries = {
            "source": ledger_site.entry(
                source,
                runs=["postgresql", "mariadb"],
                listens=[{**ledger_site.SSH, "sources": ["keeper"]}],
                copied_to=[copied],
            ),
            "keeper": ledger_site.entry(
                keeper,
                copies_of=[copies | self.keys.get("keeper", {})],
                copies_escrow=[{"place": "safe", "holder": "x", "sealed": datetime.now(UTC).date()}],
            ),
        }
        sets = {"management": ledger_site.console(source), "keeper": [f"{keeper.address}/32"]}
        # First, since Ansible lists a folder's files once in the life of a process.
        (self.folder / "group_vars/all").mkdir(parents=True, exist_ok=True)
        (self.folder / "group_vars/all/copies.yml").write_text(f"{COPIED}_spare_mib: 16\n", encoding="utf-8")
        return ledger_site.write(self.folder, self.lab, self.hosts, entries, sets)

    def apply(self, name: str, controls: list[str], by: str) -> None:
        work = Work(self.site(), load_controls(root() / "roles"), {name: controls}, "apply")
        for outcome in engine(by).run(work, lambda event: None).outcomes.values():
            assert outcome.failed is None, outcome.failed

    def new_set(self, script: str = "head -c 100000 /dev/urandom > dump", after: str = "true") -> str:
        """Seal a set of MariaDB's that holds what `script` makes; `after` it was sealed comes the other."""
        self.sets += 1
        name = f"2099{self.sets:04}T000000Z"
        self.root(
            "source",
            f"""set -e
            mkdir {BACKUPS}/mariadb/{name}; cd {BACKUPS}/mariadb/{name}; {script}
            find . -type f -printf '%P\\n' | sort | grep -v SHA256SUMS | xargs -d '\\n' sha256sum -- > SHA256SUMS
            printf '{{"product": "mariadb", "started": "%s", "sha256sums": "%s"}}' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \\
              "$(sha256sum < SHA256SUMS | cut -d' ' -f1)" > record.json
            {after}""",
        )
        return name

    def copies(self) -> list[str]:
        """Return the names of the sets of MariaDB's that the repository holds."""
        said = self.root("keeper", RESTIC + "restic snapshots --no-lock --json --tag mariadb | tr '{' '\\n'")
        return [
            line.split('"tags":["mariadb","')[1][:16] for line in said.splitlines() if '"tags":["mariadb' in line
        ]

    def refused(self) -> str:
        """Fetch, which must fail and leave the copies as they were; return what the journal says of it."""
        before = self.copies()
        self.root("keeper", PULL, code=1)
        assert self.copies() == before
        said = self.root(
            "keeper", "journalctl --sync; journalctl -q -o cat -p err --since -1min -t medsec-backup-copies"
        )
        return "\n".join(line for line in said.splitlines() if line.startswith("medsec-backup-copies:"))


@pytest.fixture(scope="module")
def place(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    hosts = {
        "source": lab.add_host("source", kind="db", layer="db"),
        "keeper": lab.add_host("keeper", kind="backup"),
    }
    made = Place(lab, hosts, tmp_path_factory.mktemp("site"))
    made.root("source", "systemctl is-system-running --wait > /dev/null; true")
    made.root("source", installing(load_controls(root() / "roles")))
    made.root("source", "medsec-database-backup run mariadb; medsec-database-backup run postgresql")
    made.site()
    # The keeper has no key before the first remedy; the ledger's lines come from both hosts afterwards.
    made.apply("keeper", [COPIED], "pyinfra")
    medsec = [
        str(Path(sys.executable).with_name("medsec")),
        "backup",
        "key",
        "--host",
        "keeper",
        "-i",
        str(made.folder),
    ]
    printed = subprocess.run(medsec, capture_output=True, text=True, timeout=60, check=True).stdout
    lines = yaml.safe_load(printed)
    made.keys = {"source": lines["source"]["copied_to"][0], "keeper": lines["keeper"]["copies_of"][0]}
    made.apply("source", [OFFERED, "inbound_denied_by_default"], "pyinfra")
    made.apply("keeper", [COPIED], "ansible")
    yield made
    for name in hosts:
        lab.remove_host(name)


def test_what_the_ledger_registers_is_copied(place: Place) -> None:
    inventory = place.site()
    for control, name in ((OFFERED, "source"), (COPIED, "keeper")):
        found = ledger_site.verdict(inventory, control, name)
        assert found.verdict is Verdict.PASS, found.text
    assert (
        place.root("keeper", "ps axww; cat /proc/*/environ 2> /dev/null | tr '\\0' '\\n'").count(
            place.root("keeper", "cat /etc/medsec-backup-copies/password")
        )
        == 0
    )


def test_whoever_takes_the_server_over_reaches_no_copy(place: Place) -> None:
    """What the server's root can do, and whoever has the keeper's key can do on the server."""
    held = place.root("source", f"cd {BACKUPS} && find . -type f ! -name .lock | sort | xargs sha256sum")
    address = place.hosts["source"].address
    asked = [
        "", "id", "sh", "list; id", "list | id", "list && id", "$(id)", "`id`", "list\nid", "--help", "send",
        "send ../../etc shadow", "send mariadb ../../../etc/shadow", "send mariadb ../postgresql", "send mariadb 2*",
        "send mariadb -cf", "send --checkpoint-action=exec=id mariadb", "send mariadb 20200101T000000Z",
        "/usr/lib/openssh/sftp-server", "scp -f /etc/shadow", "rsync --server --sender . /etc",
    ]  # fmt: skip
    for words in asked:
        quoted = "'" + words.replace("'", "'\\''") + "'"
        said = place.hosts["keeper"].run_as_root(f"{SSH} medsec-copies@{address} {quoted}")
        assert (said.returncode != 0, said.stdout) == (True, ""), (words, said.stdout, said.stderr)
    for flags in ("-W 127.0.0.1:3306", "-N -o ExitOnForwardFailure=yes -R 2200:127.0.0.1:22", "-tt", "-s sftp"):
        words = flags if flags != "-s sftp" else "-s"
        tail = "sftp" if flags == "-s sftp" else ""
        said = place.hosts["keeper"].run_as_root(f"timeout 10 {SSH} {words} medsec-copies@{address} {tail}")
        assert (said.returncode != 0, "mariadb" in said.stdout.lower()) == (True, False), (flags, said.stdout)
    place.root(
        "source",
        f"{SSH.split(' -i ', maxsplit=1)[0]} -o BatchMode=yes -o StrictHostKeyChecking=no medsec-copies@{place.hosts['keeper'].address} id",
        code=255,
    )
    place.root("source", f"cp -a {BACKUPS} /root/kept && rm -rf {BACKUPS}/*")
    assert "offers no sealed backup" in place.refused()
    restored = (
        RESTIC
        + "rm -rf /tmp/r && mkdir /tmp/r && cd /tmp/r && for p in postgresql mariadb; do restic restore latest --tag $p --target $p; done\n"
        + "find . -type f | sort | xargs sha256sum; rm -rf /tmp/r"
    )
    assert place.root("keeper", restored) == held
    place.root("source", f"cp -a /root/kept/* {BACKUPS}/")


@pytest.mark.parametrize(
    ("script", "after", "why"),
    [
        ("seq 9 > dump", "echo more >> dump", "not what was sealed: a file was changed"),
        ("seq 9 > dump", "echo > extra", "not what was sealed: a file was changed"),
        ("seq 9 > dump", "ln -s /etc/shadow SHA256SUMS.old", "not what was sealed: something else came along"),
        ("seq 9 > dump", "ln dump again", "not what was sealed: something else came along"),
        ("seq 9 > dump", "sed -i 's/: \"20../: \"2096/' record.json", "dated in the future"),
    ],
    ids=["altered", "added", "link", "hard_link", "of_tomorrow"],
)
def test_what_was_not_sealed_is_refused(place: Place, script: str, after: str, why: str) -> None:
    """The older copies stay."""
    name = place.new_set(script, after)
    assert why in place.refused()
    place.root("source", f"rm -r {BACKUPS}/mariadb/{name}")


def test_a_server_that_is_not_the_registered_one_is_refused(place: Place) -> None:
    place.new_set()
    place.root("source", "mkdir /root/k; mv /etc/ssh/ssh_host_* /root/k; ssh-keygen -q -A; systemctl restart ssh")
    said = place.refused()
    place.root("source", "mv -f /root/k/* /etc/ssh/; systemctl restart ssh")
    assert "does not let this host in" in said


def test_a_run_that_is_killed_is_made_good_by_the_next(place: Place) -> None:
    name = place.new_set("head -c 120M /dev/urandom > dump")
    killed = (
        "systemctl start --no-block medsec-backup-copies.service\n"
        "until pgrep -f 'restic .* backup ' > /dev/null; do sleep 0.05; done; sleep 0.5\n"
        "systemctl kill -s KILL medsec-backup-copies.service; sleep 1; systemctl is-failed medsec-backup-copies.service"
    )
    place.root("keeper", killed)
    assert name not in place.copies()
    place.root("keeper", PULL)
    assert name in place.copies()
    place.root(
        "keeper",
        RESTIC
        + "restic check --read-data; ! restic list locks | grep .; ! ls /var/backups/medsec-copies/incoming/*/* 2> /dev/null",
    )
    place.root("source", f"rm -r {BACKUPS}/mariadb/{name}")


def test_a_full_disk_costs_no_copy(place: Place) -> None:
    """Nothing is half there, and the next run with room is good."""
    place.root(
        "keeper",
        f"cp -a {HOME} /root/copies; mount -t tmpfs -o mode=700,size=$(($(du -sm {HOME} | cut -f1) + 60))m none {HOME}; cp -a /root/copies/. {HOME}/; rm -r /root/copies",
    )
    name = place.new_set("head -c 30M /dev/urandom > dump")
    assert "did not come whole" in place.refused()
    place.root("keeper", f"mount -o remount,size=2g {HOME}")
    place.root("keeper", PULL)
    assert name in place.copies()
    place.root("keeper", f"umount {HOME}")


def status(place: Place, code: int = 0) -> tuple[dict[str, dict[str, Any]], str]:
    """Return what `medsec backup status` tells of the server's products, and what it says on the error stream."""
    medsec = [str(Path(sys.executable).with_name("medsec")), "--lang", "en", "backup", "status"]
    done = subprocess.run(
        [*medsec, "--host", "source", "-f", "json", "-i", str(place.folder)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return {state["system"]: state for state in json.loads(done.stdout)}, done.stderr


def test_the_status_tells_what_the_keeper_holds(place: Place) -> None:
    name = place.new_set()
    before = status(place)[0]["mariadb"]
    assert before["last"]["name"] == name
    assert before["places"] == ["source"]
    assert before["copies"]["keeper"]["name"] == place.copies()[-1] < name
    place.root("keeper", PULL)
    found = status(place)[0]
    assert found["mariadb"]["places"] == found["postgresql"]["places"] == ["source", "keeper"]
    assert found["mariadb"]["copies"]["keeper"]["name"] == name
    place.root("keeper", "mv /etc/medsec-backup-copies/password /root/")
    unread, said = status(place, 3)
    place.root("keeper", "mv /root/password /etc/medsec-backup-copies/")
    assert unread["mariadb"]["places"] == ["source"]
    assert "host keeper: the copies cannot be read" in said


def test_a_flipped_byte_is_found_by_the_weekly_reading(place: Place) -> None:
    check = "systemctl reset-failed; systemctl start medsec-backup-copies-check.service"
    place.new_set("head -c 300000 /dev/urandom > dump")
    place.root("keeper", PULL)
    place.root("keeper", check)
    inventory = place.site()
    pack = place.root("keeper", f"find {HOME}/repository/data -type f -size +100k | head -n 1").strip()
    flip = (
        f"chmod u+w {pack}; byte=$(od -An -j5000 -N1 -tu1 {pack})\n"
        f'printf "\\\\$(printf %03o $((255 - byte)))" | dd of={pack} bs=1 seek=5000 conv=notrunc status=none'
    )
    place.root("keeper", f"cp -a {pack} /root/pack; {flip}; {check}", code=1)
    said = place.root("keeper", "sleep 1; journalctl -q -o cat -p err --since -1min")
    assert "is damaged" in said
    assert "medsec-backup-copies-check.service failed" in said
    found = ledger_site.verdict(inventory, COPIED, "keeper")
    assert found.verdict is Verdict.FAIL
    assert "found damage" in found.text.en
    place.root("keeper", f"cp -af /root/pack {pack}; {check}")


@pytest.mark.parametrize(
    ("control", "name", "spoil", "undo", "said"),
    [
        (
            OFFERED,
            "source",
            "cd /var/lib/medsec-copies/.ssh; cp authorized_keys /root; sed -i '1i ssh-ed25519 '\"$(grep -o 'AAAA.*' authorized_keys)\" authorized_keys",
            "cp /root/authorized_keys /var/lib/medsec-copies/.ssh/",
            "1 keys open medsec-copies that the ledger does not register, or without its restrictions",
        ),
        (
            COPIED,
            "keeper",
            "mkdir /etc/systemd/system/medsec-backup-copies.timer.d; cd /etc/systemd/system/medsec-backup-copies.timer.d; printf '[Timer]\\nOnCalendar=\\nOnCalendar=*-%s-15\\n' $(date -d '+60 days' +%m) > less.conf; systemctl daemon-reload; chmod 711 /var/backups/medsec-copies",
            "rm -r /etc/systemd/system/medsec-backup-copies.timer.d; systemctl daemon-reload; chmod 700 /var/backups/medsec-copies",
            "others than root may reach /var/backups/medsec-copies (owner 0, mode 0711); the timer medsec-backup-copies.timer is next due in",
        ),
    ],
    ids=["key_without_restrictions", "timer_by_a_drop_in"],
)
def test_what_undermines_the_copies_is_found(
    place: Place, control: str, name: str, spoil: str, undo: str, said: str
) -> None:
    place.root(name, "set -e\n" + spoil)
    found = ledger_site.verdict(place.site(), control, name)
    place.root(name, undo)
    assert found.verdict is Verdict.FAIL
    assert said in found.text.en
