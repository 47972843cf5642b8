"""A database administrator escalates by set_user and tries to cover it up; then what people must mend themselves is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medsec.evidence.findings import Verdict
from medsec.inventory import Inventory
from medsec.lab import Lab, LabHost
from tests import ledger_site as site

CONTROL, AUDIT = "postgresql_administrators_separated", "postgresql_statements_audited"
PEOPLE = [
    {"person": "Zhao", "role": "system", "account": "admin"},
    {"person": "Li", "role": "database", "account": "dba_li"},
    {"person": "Sun", "role": "security", "account": "sec_sun"},
    {"person": "Wu", "role": "audit", "account": "wu"},
]
# By peer, as the account that the remedy made: what each of these says is looked for in the server's log.
COVERS_UP = r"""
useradd dba_li
log=/var/log/postgresql/postgresql-15-main.log
before=$(wc -l < $log)
cd /
runuser -u dba_li -- psql -Xd postgres << 'SQL'
SET pgaudit.log = 'none';
ALTER SYSTEM SET pgaudit.log = 'none';
SELECT set_user_u('postgres');
SET pgaudit.log = 'none';
SELECT 'after pgaudit was silenced';
SET log_statement = 'none';
SELECT set_config('log_statement', 'none', false);
ALTER SYSTEM SET pgaudit.log = 'none';
COPY (SELECT 1) TO PROGRAM 'true';
SET SESSION AUTHORIZATION postgres;
SELECT reset_user();
SELECT set_user_u('postgres');
SET log_min_messages = 'panic';
SELECT 'unseen';
SQL
sleep 0.5
echo ---
tail -n +$((before + 1)) $log
"""
REFUSED = (
    'permission denied to set parameter "pgaudit.log"',
    'permission denied to set parameter "pgaudit.log"',
    '"SET log_statement" blocked',
    "set_config(",
    "ALTER SYSTEM blocked",
    "COPY PROGRAM blocked",
    '"SET/RESET SESSION AUTHORIZATION" blocked',
)
# How each of these is told proves that the whole session is: who, then the mark of escalation.
SEEN = (
    "LOG:  Role dba_li transitioning to Superuser Role postgres",
    "AUDIT: LOG:  statement: SET pgaudit.log = 'none';",
    "AUDIT: LOG:  statement: SELECT 'after pgaudit was silenced';",
    "AUDIT: LOG:  statement: SET log_statement = 'none';",
    "AUDIT: LOG:  statement: ALTER SYSTEM SET pgaudit.log = 'none';",
    "AUDIT: LOG:  statement: SELECT reset_user();",
    # This one ends it, and is itself the last thing seen.
    "AUDIT: LOG:  statement: SET log_min_messages = 'panic';",
)
BY_HAND = """set -e
gpasswd -a dba_li sudo > /dev/null
useradd -s /bin/bash ops
echo 'ops ALL = (postgres) NOPASSWD: /bin/ls' > /etc/sudoers.d/ops
useradd -r -s /bin/sh service
echo 'service ALL = (root) NOPASSWD: /bin/true' > /etc/sudoers.d/service
cd /
runuser -u postgres -- psql -qX -v ON_ERROR_STOP=1 -c 'CREATE ROLE vendor SUPERUSER LOGIN' -c 'ALTER ROLE sec_sun CREATEROLE' \
  -c "ALTER ROLE dba_li SET pgaudit.log = 'none'"
"""
FOUND = (
    "dba_li of Li, no system administrator, has powers in the operating system: sudo (ALL : ALL) ALL, group sudo",
    "the ledger names no person behind ops",
    "superusers besides postgres may log in: vendor",
    "the security administrator's account sec_sun has without escalation CREATEROLE",
    "Wu is registered as auditor and database administrator",
    "set_user.superuser_allowlist leaves out dba_wu",
)

pytestmark = pytest.mark.xdist_group("postgresql")


def written(folder: Path, lab: Lab, host: LabHost, people: list[dict[str, Any]]) -> Inventory:
    listens = [
        {"port": 5432, "protocol": "tcp", "process": "postgres", "sources": ["local"], "purpose": site.BOTH}
    ]
    entries = {"db": site.entry(host, listens=listens, runs=["postgresql"], administrators=people)}
    return site.write(folder, lab, {"db": host}, entries, {"management": site.console(host)})


def test_an_administrator_escalates_by_name_and_cannot_do_so_unseen(
    lab: Lab, fresh_host: Callable[..., LabHost], tmp_path: Path
) -> None:
    host = fresh_host(kind="db", suite="bookworm")
    inventory = written(tmp_path / "inventory", lab, host, PEOPLE)
    finding = site.verdict(inventory, CONTROL, "db")
    assert finding.verdict is Verdict.FAIL, finding.text
    assert "account dba_li is not there" in finding.text.en

    for control, engine in ((CONTROL, "ansible"), (AUDIT, "pyinfra")):
        outcome = site.remedy(inventory, control, ["db"], engine)["db"]
        assert (outcome.changed > 0, outcome.failed) == (True, None)
    again = site.remedy(inventory, CONTROL, ["db"], "pyinfra")["db"]
    assert (again.changed, again.failed) == (0, None)
    for control in (CONTROL, AUDIT):
        finding = site.verdict(inventory, control, "db")
        assert finding.verdict is Verdict.PASS, finding.text

    answer = host.run_as_root(COVERS_UP)
    log = answer.stdout.partition("---\n")[2]
    said = [line.partition("ERROR:  ")[2] for line in answer.stderr.splitlines() if "ERROR:" in line]
    assert len(said) == len(REFUSED), answer.stderr
    assert [words for words, line in zip(REFUSED, said, strict=True) if words not in line] == [], said
    for words in SEEN:
        assert any("user=dba_li" in line and words in line for line in log.splitlines()), f"{words}\n{log}"
    assert "'unseen'" not in log

    host.run_as_root(BY_HAND).check_returncode()
    twice = [*PEOPLE, {"person": "W u", "role": "database", "account": "dba_wu"}]
    finding = site.verdict(written(tmp_path / "twice", lab, host, twice), CONTROL, "db")
    assert finding.verdict is Verdict.FAIL
    assert [words for words in FOUND if words not in finding.text.en] == [], finding.text.en
    assert "behind service" not in finding.text.en
    # What silences the administrator's audit is the business of the control that reads it.
    finding = site.verdict(inventory, AUDIT, "db")
    assert finding.verdict is Verdict.FAIL
    assert "audit is cut for role dba_li by pgaudit.log=none" in finding.text.en
