"""Proof by canary: what is said to the databases lies on another host as well, whoever said it and whatever he does afterwards."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from medsec.catalogue.controls import load_controls
from medsec.engines.base import Work
from medsec.engines.registry import engine
from medsec.evidence.findings import Finding, Verdict
from medsec.inventory import Inventory
from medsec.lab import Lab, LabHost
from medsec.resources import root
from tests import ledger_site

SENT, KEPT = "statements_reach_collector", "statements_collected"
POSTGRESQL, MARIADB = "postgresql_statements_audited", "mariadb_statements_audited"
HOME = "/var/log/medsec-statements/source"
LOCAL = {"postgresql": "/var/log/postgresql/postgresql-15-main.log", "mariadb": "/var/log/syslog"}
PSQL = "runuser -u postgres -- psql -qX"


@dataclass
class Place:
    """A database server, its collector, the host from which the application comes, and their site."""

    hosts: dict[str, LabHost]
    inventory: Inventory

    def root(self, name: str, script: str, code: int | None = 0) -> str:
        done = self.hosts[name].run_as_root(f"cd /\n{script}", timeout=120)
        assert code in (None, done.returncode), f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def verdict(self, control: str) -> Finding:
        return ledger_site.verdict(self.inventory, control, "collector" if control == KEPT else "source")

    def apply(self, todo: dict[str, list[str]], by: str) -> None:
        work = Work(self.inventory, load_controls(root() / "roles"), todo, "apply")
        for outcome in engine(by).run(work, lambda event: None).outcomes.values():
            assert outcome.failed is None, outcome.failed

    def lines(self, name: str, path: str, words: str) -> list[str]:
        return self.root(name, f"grep -aF -- '{words}' {path}", code=None).splitlines()

    def arrived(self, path: str, words: str, count: int = 1) -> list[str]:
        """Return the collector's lines with `words`, as soon as there are as many as `count` different ones."""
        deadline = time.monotonic() + 60
        while len(set(found := self.lines("collector", path, words))) < count:
            assert time.monotonic() < deadline, f"{len(set(found))} of {count} with {words}: {found[-3:]}"
            time.sleep(0.5)
        return found


@pytest.fixture(scope="module")
def place(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    hosts = {
        "source": lab.add_host("source", kind="db", layer="db"),
        "collector": lab.add_host("collector", kind="backup"),
        "app": lab.add_host("app", kind="server", layer="db"),  # for the clients of both databases
    }
    source, collector = hosts["source"], hosts["collector"]
    receives = {"port": 2514, "process": "rsyslogd", "sources": ["source"], "purpose": ledger_site.BOTH}
    entries = {
        "source": ledger_site.entry(
            source,
            runs=["postgresql", "mariadb"],
            collected_by=[{"host": "collector", "address": collector.address}],
        ),
        "collector": ledger_site.entry(
            collector,
            listens=[receives],
            collects_from=[{"host": "source", "address": source.address, "systems": ["postgresql", "mariadb"]}],
        ),
    }
    sets = {"management": ledger_site.console(source), "source": [f"{source.address}/32"]}
    inventory = ledger_site.write(tmp_path_factory.mktemp("site"), lab, hosts, entries, sets)
    made = Place(hosts, inventory)
    made.root("source", "systemctl is-system-running --wait > /dev/null; true")
    app = hosts["app"].address
    made.root(
        "source",
        f"""set -e
        printf "listen_addresses = '*'\\n" > /etc/postgresql/15/main/conf.d/net.conf
        echo 'host all all {app}/32 scram-sha-256' >> /etc/postgresql/15/main/pg_hba.conf
        printf '[mariadb]\\nbind_address = 0.0.0.0\\n' > /etc/mysql/mariadb.conf.d/90-net.cnf""",
    )
    made.apply(
        {"source": [POSTGRESQL, MARIADB, SENT], "collector": [KEPT, "inbound_denied_by_default"]}, "pyinfra"
    )
    made.root(
        "source",
        f"""set -e
        {PSQL} -c "CREATE ROLE his LOGIN PASSWORD 'his-2026'" -c "CREATE ROLE denied LOGIN PASSWORD 'denied-2026'" \\
          -c 'CREATE TABLE fee (note text)' -c 'GRANT INSERT ON fee TO his'
        mariadb -e "CREATE DATABASE his; CREATE TABLE his.fee (note text); CREATE USER his@'{app}' IDENTIFIED BY 'his-2026';
          GRANT INSERT ON his.fee TO his@'{app}'; CREATE USER denied@'{app}' IDENTIFIED BY 'denied-2026'; GRANT USAGE ON *.* TO denied@'{app}'" """,
    )
    yield made
    for name in hosts:
        lab.remove_host(name)


def told(place: Place, system: str, words: str, pattern: str) -> None:
    """What `pattern` says stands in the server's own log and on the collector, with its time."""
    when = r"20\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d.*"
    place.arrived(f"{HOME}/{system}.log", words)
    for name, path in (("source", LOCAL[system]), ("collector", f"{HOME}/{system}.log")):
        found = place.lines(name, path, words)
        assert any(re.search(when + pattern, line) for line in found), (name, pattern, found)


def test_both_hosts_agree(place: Place) -> None:
    """Only the registered server reaches the collector."""
    for control in (SENT, KEPT):
        found = place.verdict(control)
        assert found.verdict is Verdict.PASS, found.text
    knock = f"timeout 5 bash -c '< /dev/tcp/{place.hosts['collector'].address}/2514'"
    place.root("app", knock, code=124)
    place.root("source", knock)
    assert place.root("collector", f"stat -c '%U %G %a' {HOME} {HOME}/*").split("\n")[:-1] == [
        "root adm 750",
        *["root adm 640"] * 3,
    ]


def test_everybody_s_statements_arrive(place: Place) -> None:
    """The application's from its own address, those refused, an administrator's, a long one; and no password."""
    mark, source, app = secrets.token_hex(8), place.hosts["source"].address, place.hosts["app"].address
    place.root(
        "source", f"{PSQL} -c 'CREATE TABLE kept_{mark} ()'; mariadb his -e 'CREATE TABLE kept_{mark} (i int)'"
    )
    psql, mariadb = f"psql -qX -h {source} -d postgres", f"mariadb -h {source}"
    place.root("app", f"PGPASSWORD=his-2026 {psql} -U his -c \"INSERT INTO fee VALUES ('app-{mark}')\"")
    place.root("app", f"mariadb -h {source} -u his -phis-2026 his -e \"INSERT INTO fee VALUES ('app-{mark}')\"")
    place.root("app", f"PGPASSWORD=denied-2026 {psql} -U denied -c 'SELECT * FROM kept_{mark}'", code=1)
    place.root("app", f"{mariadb} -u denied -pdenied-2026 -e 'SELECT * FROM his.kept_{mark}'", code=1)
    place.root("source", f"{PSQL} -c \"ALTER ROLE his PASSWORD 'Secret-{mark}' /* admin-{mark} */\"")
    place.root(
        "source",
        f"mariadb --comments -e \"ALTER USER his@'{app}' IDENTIFIED BY 'Secret-{mark}' /* admin-{mark} */\"",
    )
    place.root("source", f"{PSQL} -c \"INSERT INTO fee VALUES (repeat('x', 1) || '{'y' * 9000}end-{mark}')\"")
    told(place, "postgresql", f"app-{mark}", rf"user=his .*client={app}\(.*AUDIT: .*,WRITE,INSERT,")
    told(place, "mariadb", f"app-{mark}", rf",his,{app},\d+,\d+,QUERY,his,")
    told(
        place,
        "postgresql",
        f"kept_{mark}",
        rf"user=denied .*client={app}\(\d+\) ERROR:  permission denied for table",
    )
    told(place, "mariadb", f"kept_{mark}", rf",denied,{app},\d+,\d+,QUERY,.*,1(044|142|046)$")
    told(place, "postgresql", "ALTER ROLE his PASSWORD", r"user=postgres .*client=\[local\] .*AUDIT: .*<REDACTED>")
    told(place, "mariadb", f"admin-{mark}", r",root,localhost,\d+,\d+,QUERY,")
    told(place, "postgresql", f"end-{mark}", r"user=postgres .*y{9000}end-")
    assert place.lines("collector", f"-r {HOME}", f"Secret-{mark}") == []
    place.root("source", f"mariadb -e \"ALTER USER his@'{app}' IDENTIFIED BY 'his-2026'\"")
    place.root("source", f"{PSQL} -c \"ALTER ROLE his PASSWORD 'his-2026'\"")


def test_an_administrator_who_silences_the_audit_is_seen(place: Place) -> None:
    """What was sent stays; that it was switched off and a log was cut off lies on the collector, and the checks say so."""
    mark = secrets.token_hex(8)
    place.root("source", f"{PSQL} -c 'CREATE TABLE gone_{mark} ()'")
    place.arrived(f"{HOME}/postgresql.log", f"CREATE TABLE gone_{mark}")
    place.root(
        "source",
        f"""{PSQL} -c "ALTER ROLE postgres SET pgaudit.log = 'none' /* off-{mark} */"
        mariadb --comments -e 'SET GLOBAL server_audit_logging = OFF /* off-{mark} */'
        sleep 1; : > {LOCAL["postgresql"]}; : > {LOCAL["mariadb"]}
        {PSQL} -c 'DROP TABLE gone_{mark}'""",
    )
    assert place.lines("source", " ".join(LOCAL.values()), f"off-{mark}") == []
    place.arrived(f"{HOME}/postgresql.log", f"off-{mark}")
    place.arrived(f"{HOME}/mariadb.log", f"off-{mark}")
    assert LOCAL["postgresql"] in place.arrived(f"{HOME}/rsyslog.log", "truncation detected")[0]
    assert place.lines("collector", f"{HOME}/postgresql.log", f"CREATE TABLE gone_{mark}")
    for control, words in (
        (POSTGRESQL, "role postgres by pgaudit.log=none"),
        (MARIADB, "server_audit_logging is OFF"),
    ):
        found = place.verdict(control)
        assert found.verdict is Verdict.FAIL, found.text
        assert words in found.text.en
    place.root(
        "source",
        f"{PSQL} -c 'ALTER ROLE postgres RESET pgaudit.log'; mariadb --comments -e 'SET GLOBAL server_audit_logging = ON'",
    )


def test_nothing_is_lost_while_the_collector_is_down(place: Place) -> None:
    """Nor where the server's own rsyslog restarts meanwhile."""
    mark = secrets.token_hex(8)
    place.root("collector", "systemctl stop rsyslog.service syslog.socket")
    make = f"""seq 400 | sed "s/.*/INSERT INTO fee VALUES ('&-{mark}');/" > /tmp/statements
      {PSQL} -f /tmp/statements; mariadb his < /tmp/statements"""
    place.root("source", f"{make}\nsystemctl restart rsyslog\nsed -i 's/-{mark}/-2-{mark}/' /tmp/statements\n")
    place.root("source", f"{PSQL} -f /tmp/statements; mariadb his < /tmp/statements")
    found = place.verdict(SENT)
    assert found.verdict is Verdict.FAIL
    assert "rsyslog has no connection to collector" in found.text.en
    assert "records wait on the disk" in found.text.en
    found = place.verdict(KEPT)
    assert found.verdict is Verdict.FAIL
    assert "rsyslog does not run" in found.text.en
    place.root("collector", "systemctl start rsyslog.service")
    for system in ("postgresql", "mariadb"):
        place.arrived(f"{HOME}/{system}.log", mark, 800)
    for control in (SENT, KEPT):
        found = place.verdict(control)
        assert found.verdict is Verdict.PASS, found.text


@pytest.mark.parametrize(
    ("control", "spoil", "undo", "verdict", "said"),
    [
        (
            SENT,
            "pg_createcluster 15 lis -l /var/lib/postgresql/lis.log --start > /dev/null",
            "pg_dropcluster --stop 15 lis",
            Verdict.FAIL,
            "nothing forwards /var/lib/postgresql/lis.log",
        ),
        (
            SENT,
            "echo 'if $nothing then' > /etc/rsyslog.d/zz-broken.conf",
            "rm /etc/rsyslog.d/zz-broken.conf; systemctl restart rsyslog; sleep 1",
            Verdict.FAIL,
            "rsyslog refuses its settings",
        ),
        (SENT, "mv /usr/bin/ss /root/ss", "mv /root/ss /usr/bin/ss", Verdict.ERROR, "ss is missing"),
        (
            KEPT,
            f"touch -d '30 hours ago' {HOME}/mariadb.log; chmod 644 {HOME}/rsyslog.log",
            f"touch {HOME}/mariadb.log; chmod 640 {HOME}/rsyslog.log",
            Verdict.FAIL,
            "the newest record of source/mariadb is 30 hours old",
        ),
        (
            KEPT,
            f"mv {HOME}/postgresql.log /root/",
            f"mv /root/postgresql.log {HOME}/",
            Verdict.FAIL,
            "no record of source/postgresql has arrived",
        ),
    ],
    ids=["log_elsewhere", "broken_settings", "tool_missing", "old_and_open", "taken_away"],
)
def test_what_breaks_the_way_is_found(
    place: Place, control: str, spoil: str, undo: str, verdict: Verdict, said: str
) -> None:
    host = "collector" if control == KEPT else "source"
    place.root(host, spoil)
    found = place.verdict(control)
    place.root(host, undo)
    assert found.verdict is verdict, found.text
    assert said in found.text.en
