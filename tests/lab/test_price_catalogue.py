"""Tables of prices on real servers: what was approved, what became of them since, and who the audit says it was."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from medsec.catalogue.controls import load_controls
from medsec.evidence.findings import Finding, Verdict
from medsec.inventory import load_inventory
from medsec.inventory.prices import add_approvals
from medsec.lab import Lab, LabHost
from medsec.prices.approving import approval, compare, declaring
from medsec.resources import root
from tests import ledger_site as site

CONTROL = "price_catalogue_unchanged"
PG, MARIA = "postgresql 5432 his.public.price_list", "mariadb 3306 settle.价表"
TABLES = [
    {"product": "postgresql", "database": "his", "table": "public.price_list"},
    {"product": "mariadb", "database": "settle", "table": "价表"},
]
SQL = "runuser -u postgres -- psql -qAtX -v ON_ERROR_STOP=1 -d his"
APP = "PGPASSWORD=Right-1234 psql -qAtXw -v ON_ERROR_STOP=1 -h 127.0.0.1 -U his -d his"
MY = "mariadb --default-character-set=utf8mb4 -D settle"
CLERK = f"{MY} -h 127.0.0.1 -u clerk -pRight-1234"
# As the remedies of the statements' audit leave them.
AUDITED = r"""
printf "shared_preload_libraries = 'pgaudit'\npgaudit.log = 'ddl, role, write'\npgaudit.log_relation = on\nlog_line_prefix = '%%m [%%p] db=%%d user=%%u client=%%r '\n" \
  > /etc/postgresql/15/main/conf.d/audit.conf
systemctl restart postgresql@15-main.service
printf '[mysqld]\nplugin_load_add = server_audit\nserver_audit = FORCE_PLUS_PERMANENT\nserver_audit_logging = ON\nserver_audit_output_type = syslog\n' \
  > /etc/mysql/mariadb.conf.d/70-audit.cnf
systemctl restart mariadb
runuser -u postgres -- psql -qX -c "CREATE ROLE his LOGIN PASSWORD 'Right-1234'" -c 'CREATE DATABASE his OWNER his'
"""
MADE = f"""
{SQL} -c 'DROP SCHEMA public CASCADE' -c 'CREATE SCHEMA public' -c 'GRANT USAGE ON SCHEMA public TO his' \
  -c 'CREATE TABLE price_list (code int PRIMARY KEY, price numeric(10,2))' -c 'INSERT INTO price_list SELECT n, n FROM generate_series(1, 100) n' \
  -c 'ALTER TABLE price_list OWNER TO his'
mariadb --default-character-set=utf8mb4 -e "CREATE OR REPLACE DATABASE settle CHARACTER SET utf8mb4; CREATE TABLE settle.价表 (code INT PRIMARY KEY, price DECIMAL(10,2)) ENGINE=InnoDB;
  GRANT ALL ON settle.* TO clerk@'127.0.0.1' IDENTIFIED BY 'Right-1234'"
{MY} -e 'INSERT INTO 价表 SELECT seq, seq FROM seq_1_to_100'
"""

pytestmark = pytest.mark.xdist_group("prices")


@dataclass
class Place:
    """One database server whose ledger declares a table of each product."""

    host: LabHost
    folder: Path

    def root(self, script: str) -> None:
        done = self.host.run_as_root(f"set -e\n{script}", timeout=120)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"

    def prices(self, *arguments: str, code: int) -> str:
        command = [str(Path(sys.executable).with_name("medsec")), "--lang", "en", "prices", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def approve(self) -> None:
        """Approve what is there, without the seconds that a command takes to start."""
        found = load_inventory(self.folder / "inventory")
        (answer,) = compare(found, load_controls(root() / "roles"), declaring(found.limit()))
        add_approvals(found.path, [approval(answer.states, "BG-2026-118", "王建国")])

    def judged(self) -> Finding:
        return site.verdict(load_inventory(self.folder / "inventory"), CONTROL, "db")

    def fails(self, *texts: str) -> str:
        finding = self.judged()
        assert finding.verdict is Verdict.FAIL, finding.text
        for text in texts:
            assert text in finding.text.en, finding.text.en
        return finding.text.en


@pytest.fixture(scope="module")
def server(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    host = lab.add_host("prices", kind="db", layer="db")
    made = Place(host, tmp_path_factory.mktemp("site"))
    made.root(AUDITED)
    entries = {"db": site.entry(host, runs=["postgresql", "mariadb"], price_catalogue=TABLES)}
    site.write(made.folder / "inventory", lab, {"db": host}, entries, {"management": site.console(host)})
    yield made
    lab.remove_host(host.name)


@pytest.fixture
def place(server: Place) -> Place:
    """The tables as they were made, and approved so."""
    server.root(MADE)
    server.approve()
    return server


def test_what_is_as_approved_passes_and_what_was_never_approved_does_not(server: Place) -> None:
    server.root(MADE)
    (server.folder / "inventory/prices.yml").unlink(missing_ok=True)
    server.fails(
        f"{PG}: no snapshot of it was approved", f"{MARIA}: no snapshot of it was approved", "prices approve"
    )
    assert "never approved" in server.prices("diff", code=1)
    server.prices("approve", "--change", "BG-2026-118", "--approver", "王建国", code=0)
    assert server.judged().verdict is Verdict.PASS
    assert "100 rows, as approved" in server.prices("diff", code=0)
    assert "BG-2026-118" in server.prices("show", code=0)


def test_a_changed_price_and_deleted_rows_are_told_with_who_did_it(place: Place) -> None:
    place.root(f"{APP} -c 'UPDATE price_list SET price = 0 WHERE code = 7'")
    place.root(f"{CLERK} -e 'DELETE FROM 价表 WHERE code > 90'")
    told = place.fails(
        f"{PG}: changed since",
        "approved by 王建国, change record BG-2026-118): rows 100 -> 100, their contents changed; last changed:",
        "user=his client=127.0.0.1",
        "(UPDATE)",
        f"{MARIA}: changed since",
        "rows 100 -> 90; more than 5 % of its 100 rows are gone: a class-1 fault (一类故障); last changed:",
        "clerk@localhost (DELETE)",
    )
    assert told.count("class-1") == 1
    assert "more than 5 %" in place.prices("diff", code=1)


def test_who_changed_it_unseen_is_not_named_nor_who_changed_it_before(place: Place) -> None:
    place.root(f"{APP} -c 'UPDATE price_list SET price = 0 WHERE code = 7'; sleep 1.1")
    place.approve()
    place.root(f"{SQL} -c 'ALTER ROLE his SET pgaudit.log = none'")
    try:
        told = place.fails("would not tell who changes the tables: it is cut for role his (pgaudit.log=none)")
        assert "changed since" not in told
        place.root(f"{APP} -c 'TRUNCATE price_list'")
        place.fails("rows 100 -> 0; more than 5 %", "class-1", "no change of it since is in the audit log")
    finally:
        place.root(f"{SQL} -c 'ALTER ROLE his RESET pgaudit.log'")


def test_a_table_in_another_guise_is_not_the_table(place: Place) -> None:
    place.root(f"{SQL} -c 'ALTER TABLE price_list RENAME TO old' -c 'CREATE VIEW price_list AS SELECT * FROM old'")
    place.root(
        f"{MY} -e 'RENAME TABLE 价表 TO old; CREATE TABLE 价表 LIKE old; INSERT INTO 价表 SELECT * FROM old'"
    )
    place.fails(
        f"{PG}: changed since",
        "it is no ordinary table but a view",
        f"{MARIA}: changed since",
        "another table of the same 100 rows stands in its place",
        "root@localhost",
    )
    assert "cannot be approved: it is no ordinary table but a view" in place.prices(
        "approve", "--change", "1", "--approver", "x", code=2
    )
    place.root(
        f"{SQL} -c 'DROP VIEW price_list' -c 'CREATE TABLE price_list (LIKE old INCLUDING ALL)' -c 'INSERT INTO price_list SELECT * FROM old'"
    )
    place.root(f"{MY} -e 'DROP TABLE 价表'")
    place.fails(
        f"{PG}: changed since",
        "another table of the same 100 rows stands in its place",
        "there is no such table",
        "class-1",
    )


def test_rows_hidden_from_the_application_and_rows_added_by_a_child_are_changes(place: Place) -> None:
    place.root(
        f"{SQL} -c 'ALTER TABLE price_list ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY' -c 'CREATE POLICY p ON price_list USING (code < 9)'"
    )
    place.root(f"{MY} -e 'CREATE TRIGGER t BEFORE INSERT ON 价表 FOR EACH ROW SET NEW.price = 0'")
    told = place.fails(f"{PG}: changed since", "its 100 rows are those approved, but its definition changed")
    assert told.count("its 100 rows are those approved") == 2
    place.approve()
    assert place.judged().verdict is Verdict.PASS
    place.root(f"{SQL} -c 'CREATE TABLE more () INHERITS (price_list)' -c 'INSERT INTO more VALUES (7, 1)'")
    place.fails("but its definition changed")


def test_an_older_snapshot_that_came_back_is_not_what_was_approved_last(place: Place) -> None:
    place.root(f"{SQL} -c 'INSERT INTO price_list VALUES (101, 9)'")
    place.approve()
    assert place.judged().verdict is Verdict.PASS
    place.root(f"{SQL} -c 'DELETE FROM price_list WHERE code = 101'")
    assert "class-1" not in place.fails("rows 101 -> 100", "(DELETE)")


def test_a_table_that_cannot_be_read_in_time_is_an_error(place: Place) -> None:
    place.root(
        f"systemd-run -q --unit lock-prices {SQL} -c 'BEGIN' -c 'LOCK TABLE price_list' -c 'SELECT pg_sleep(60)'\nsleep 1"
    )
    try:
        finding = place.judged()
        assert finding.verdict is Verdict.ERROR, finding.text
        assert "lock timeout" in finding.text.en
    finally:
        place.root("systemctl stop lock-prices.service")


def test_mariadbs_audit_that_leaves_somebody_out_or_goes_nowhere_is_told(place: Place) -> None:
    place.root("mariadb -e \"SET GLOBAL server_audit_excl_users = 'clerk'\"")
    try:
        place.fails("would not tell who changes the tables: server_audit_excl_users = clerk")
    finally:
        place.root("mariadb -e \"SET GLOBAL server_audit_excl_users = ''\"")


def test_what_was_asked_wrongly_ends_with_2_and_says_what_is_accepted(place: Place) -> None:
    told = place.prices("diff", "--table", "public.prices", code=2)
    assert "no declared table 'public.prices'" in told
    assert "declared: his.public.price_list, settle.价表" in told
    told = place.prices("diff", "--limit", "nobody", code=2)
    assert "'nobody' matches no host; hosts: db" in told
    assert "--approver must not be empty" in place.prices("approve", "--change", "1", "--approver", " ", code=2)
