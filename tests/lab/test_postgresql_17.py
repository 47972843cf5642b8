"""The controls of PostgreSQL on the newest release that a lab host has, after those on the older one by their trials."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from medsec.evidence.findings import Verdict
from medsec.lab import Lab, LabHost
from tests import ledger_site as site

CONTROLS = {
    "postgresql_administrators_separated": "the database administrator's account dba_li is not there",
    "postgresql_statements_audited": "pgaudit is not loaded",
    "postgresql_passwords_guarded": "weak passwords were taken when they were tried",
    "postgresql_connections_encrypted": "pg_hba_app.conf:1 «host his his 0.0.0.0/0 scram-sha-256» lets 0.0.0.0/5",
    "postgresql_reached_by_ledger_only": "pg_hba_app.conf:1 «hostssl his his 0.0.0.0/0 scram-sha-256» lets in",
}

pytestmark = pytest.mark.xdist_group("postgresql")


def test_controls_fail_and_are_remedied_on_postgresql_17(
    lab: Lab, fresh_host: Callable[..., LabHost], tmp_path: Path
) -> None:
    host = fresh_host(kind="db", suite="trixie")
    answer = host.run_as_root(
        """set -e
        runuser -u postgres -- psql -qX -v ON_ERROR_STOP=1 -c 'CREATE ROLE his LOGIN' -c 'CREATE DATABASE his OWNER his'
        cd /etc/postgresql/17/main
        echo 'include_if_exists pg_hba_app.conf' >> pg_hba.conf
        echo 'host his his 0.0.0.0/0 scram-sha-256' > pg_hba_app.conf
        systemctl reload postgresql@17-main.service
        sleep 1"""
    )
    assert answer.returncode == 0, answer.stderr
    listens = [{"port": 5432, "protocol": "tcp", "process": "postgres", "sources": ["app"], "purpose": site.BOTH}]
    people = [
        {"person": "Zhao", "role": "system", "account": "admin"},
        {"person": "Li", "role": "database", "account": "dba_li"},
        {"person": "Sun", "role": "security", "account": "sec_sun"},
        {"person": "Wu", "role": "audit", "account": "wu"},
    ]
    entries = {"db": site.entry(host, listens=listens, runs=["postgresql"], administrators=people)}
    sets = {"management": site.console(host), "app": ["10.66.1.10/32"]}
    folder = tmp_path / "inventory"
    # Before it is loaded: Ansible remembers what a folder says.
    (folder / "group_vars/all").mkdir(parents=True)
    (folder / "group_vars/all/tls.yml").write_text(
        "postgresql_connections_encrypted_required: true\n", encoding="utf-8"
    )
    inventory = site.write(folder, lab, {"db": host}, entries, sets)
    for control, words in CONTROLS.items():
        finding = site.verdict(inventory, control, "db")
        assert finding.verdict is Verdict.FAIL, finding.text
        assert words in finding.text.en
        engines = ("ansible", "pyinfra") if control == "postgresql_statements_audited" else ("pyinfra", "ansible")
        changed = [site.remedy(inventory, control, ["db"], engine)["db"] for engine in engines]
        assert [(one.changed > 0, one.failed) for one in changed] == [(True, None), (False, None)]
    for control in (*CONTROLS, "postgresql_privileges_limited"):
        finding = site.verdict(inventory, control, "db")
        assert finding.verdict is Verdict.PASS, finding.text
    libraries = host.run_as_root(
        "runuser -u postgres -- psql -qAtX -c 'SHOW shared_preload_libraries'"
    ).stdout.strip()
    assert libraries == "set_user,pgaudit,passwordcheck,auth_delay"
