"""Who reaches PostgreSQL, tried by real connections from other hosts; and whom a remedy refuses to cut off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from medsec.evidence.findings import Verdict
from medsec.inventory import Inventory
from medsec.lab import Lab, LabHost
from tests import ledger_site as site

CONTROL = "postgresql_reached_by_ledger_only"
HBA = "/etc/postgresql/15/main/pg_hba.conf"
SQL = "runuser -u postgres -- psql -qAtX -v ON_ERROR_STOP=1"

pytestmark = pytest.mark.xdist_group("postgresql")


def root(host: LabHost, script: str) -> str:
    answer = host.run_as_root(f"set -e\n{script}", timeout=120)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def comes_in(host: LabHost, server: LabHost, role: str, password: str = "Right-1234") -> str:
    """Return what became of a login from `host`: "in", or psql's complaint."""
    answer = host.run_as_root(
        f"PGCONNECT_TIMEOUT=5 PGPASSWORD='{password}' psql -wAtX -h {server.address} -U {role} -d his -c 'SELECT 1'"
    )
    return "in" if answer.returncode == 0 else answer.stderr


@pytest.fixture
def server(fresh_host: Callable[..., LabHost]) -> LabHost:
    """A database server as vendors leave it: everybody in, by md5 or a clear password, from everywhere."""
    host = fresh_host(kind="db")
    root(
        host,
        f"""{SQL} -c "ALTER SYSTEM SET listen_addresses = '*'" -c "CREATE ROLE his LOGIN PASSWORD 'Right-1234'" -c 'CREATE DATABASE his OWNER his'
        printf 'local all all peer\\nhost all all all md5\\n' > {HBA}
        systemctl restart postgresql@15-main.service""",
    )
    return host


@pytest.fixture
def site_of(lab: Lab, server: LabHost, tmp_path: Path) -> Callable[[LabHost], Inventory]:
    def make(application: LabHost) -> Inventory:
        listens = [
            {"port": 5432, "protocol": "tcp", "process": "postgres", "sources": ["app"], "purpose": site.BOTH}
        ]
        entries = {"db": site.entry(server, listens=listens, runs=["postgresql"])}
        sets = {"management": site.console(server), "app": [f"{application.address}/32"]}
        return site.write(tmp_path / "inventory", lab, {"db": server}, entries, sets)

    return make


def test_the_application_stays_and_everybody_else_goes(
    server: LabHost, fresh_host: Callable[..., LabHost], site_of: Callable[[LabHost], Inventory]
) -> None:
    application, other = fresh_host(kind="db"), fresh_host(kind="db")
    inventory = site_of(application)
    assert comes_in(application, server, "his") == comes_in(other, server, "his") == "in"
    finding = site.verdict(inventory, CONTROL, "db")
    assert finding.verdict is Verdict.FAIL
    assert "«host all all all md5» lets in 0.0.0.0/5" in finding.text.en
    assert "lets in over the network by md5" in finding.text.en

    root(server, f"{SQL} -c \"ALTER ROLE postgres PASSWORD 'Admin-1234'\"")
    outcome = site.remedy(inventory, CONTROL, ["db"], "pyinfra")["db"]
    assert "lets the superuser postgres in from the network, and it has a password" in str(outcome.failed)
    root(server, f"{SQL} -c 'ALTER ROLE postgres PASSWORD NULL'")

    outcome = site.remedy(inventory, CONTROL, ["db"], "pyinfra")["db"]
    assert outcome.changed and not outcome.failed
    assert site.verdict(inventory, CONTROL, "db").verdict is Verdict.PASS
    assert comes_in(application, server, "his") == "in"
    assert "no password supplied" in comes_in(application, server, "his", password="")
    assert "no pg_hba.conf entry" in comes_in(other, server, "his")
    assert "pg_hba.conf rejects connection" in comes_in(application, server, "postgres", "Admin-1234")


def test_nobody_who_works_is_cut_off(
    server: LabHost, fresh_host: Callable[..., LabHost], site_of: Callable[[LabHost], Inventory]
) -> None:
    other = fresh_host(kind="db")
    inventory = site_of(fresh_host(kind="server"))
    before = root(server, f"cat {HBA}")
    root(server, f"{SQL} -c \"SET password_encryption = md5; ALTER ROLE his PASSWORD 'Right-1234'\"")
    root(
        other,
        f"PGPASSWORD=Right-1234 systemd-run -q -E PGPASSWORD psql -wX -h {server.address} -U his -d his -c 'SELECT pg_sleep(300)'",
    )
    for engine in ("ansible", "pyinfra"):
        failed = str(site.remedy(inventory, CONTROL, ["db"], engine)["db"].failed)
        assert "the password of his is stored as md5" in failed
        assert f"his is connected from {other.address}, which the ledger does not register" in failed
    finding = site.verdict(inventory, CONTROL, "db")
    assert (
        f"connected now from addresses that the ledger does not register: his ({other.address})" in finding.text.en
    )
    assert root(server, f"cat {HBA}") == before
