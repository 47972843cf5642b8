"""What the audit check makes of what a PostgreSQL server answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from medsec.errors import ProbeError
from medsec.probes import postgresql
from medsec.probes.postgresql import Server

# From a Debian 12 host with PostgreSQL 15.20 and pgaudit 1.7.0; the settings are cut to those that matter here.
FACTS = (
    '{"version" : 150020, "user" : "postgres", "recovery" : false, "super" : true, "settings" : '
    '{ "log_line_prefix" : {"value" : "%m [%p] %u@%d ", "pending" : false, "server" : "%m [%p] %u@%d ", "later" : "%m [%p] %u@%d "}, '
    '"pgaudit.log" : {"value" : "all", "pending" : false, "server" : "ddl, role", "later" : "none"}, '
    '"shared_preload_libraries" : {"value" : "pgaudit", "pending" : true, "server" : "pgaudit", "later" : null} }, '
    '"overrides" : [{"scope" : "role his database his", "name" : "pgaudit.log", "value" : "none"}]}'
)
ANSWER = f"""--8<-- medsec about
5432\t/var/lib/postgresql/15/main\t/var/log/postgresql/postgresql-15-main.log\tpostgres
--8<-- medsec facts
{FACTS}
--8<-- medsec granted
["pgaudit.log", "his"]
--8<-- medsec started
pgaudit.log_level=debug1
log-min-messages=panic
--8<-- medsec statements
his\t
routine\t{{"scope" : "routine silent()", "name" : "pgaudit.log", "value" : "none"}}
postgres\tERROR:  pgaudit must be loaded via shared_preload_libraries
--8<-- medsec log
/var/log/postgresql/postgresql-15-main.log\t2026-11-22 14:54:41.945 CST [1962] postgres@his LOG:  AUDIT: SESSION,2,1,DDL,CREATE TABLE,,,CREATE TEMPORARY TABLE medsec_audit_canary (note text) ON COMMIT DROP /* medsec-<canary>-1- */;,<not logged>
/var/log/postgresql/postgresql-15-main.log\t2026-11-22 14:54:42.544 CST [1975] postgres@postgres LOG:  AUDIT: SESSION,3,1,WRITE,INSERT,,,INSERT INTO medsec_audit_canary VALUES ('medsec-<canary>-2-');,<not logged>
/var/lib/postgresql/15/main/log/p.csv\t2026-11-22 14:54:41.972 CST,"postgres","his",1962,"[local]",6a0d,4,"SELECT",2026-11-22 14:54:41 CST,3/8,0,LOG,00000,"AUDIT: SESSION,4,1,READ,SELECT,,,SELECT count(*) FROM medsec_audit_canary WHERE note = 'medsec-<canary>-1-';,<not logged>",,,,,,,,,"psql","client backend",,0
journal\t2026-11-22T14:54:41 sudo[1]: admin : COMMAND=/bin/sh -c medsec-<canary>-1-
--8<-- medsec end
"""


@pytest.fixture
def server() -> Server:
    return postgresql.parse(143, postgresql.sections(ANSWER))


def test_what_other_sessions_get_is_not_what_the_superuser_gets(server: Server) -> None:
    assert server.value("pgaudit.log") == "ddl, role"
    assert server.settings["pgaudit.log"].value == "all"
    assert server.value("no.such.setting") == ""


def test_a_pending_restart_is_seen(server: Server) -> None:
    assert [name for name, setting in server.settings.items() if setting.pending_restart] == [
        "shared_preload_libraries"
    ]


def test_settings_of_roles_and_of_routines_are_told(server: Server) -> None:
    assert [(o.scope, o.value) for o in server.overrides] == [
        ("role his database his", "none"),
        ("routine silent()", "none"),
        ("the server's command line", "debug1"),
        ("the server's command line", "panic"),
    ]
    assert server.overrides[-1].name == "log_min_messages"


def test_what_holds_after_a_reload_and_who_else_may_decide_are_told(server: Server) -> None:
    assert server.later("pgaudit.log") == "none"
    assert server.later("shared_preload_libraries") == ""
    assert server.granted == (("pgaudit.log", "his"),)


def test_a_record_is_an_audit_line_with_our_mark_and_nothing_else(server: Server) -> None:
    assert [(record.database, record.audit_class) for record in server.records] == [
        ("his", "ddl"),
        ("postgres", "write"),
        ("his", "read"),
    ]


def test_what_psql_complained_of_is_kept(server: Server) -> None:
    assert server.complaints == {
        "his": "",
        "postgres": "ERROR:  pgaudit must be loaded via shared_preload_libraries",
    }


def test_a_role_that_is_no_superuser_cannot_tell() -> None:
    facts: dict[str, Any] = json.loads(FACTS) | {"super": False}
    answer = ANSWER.replace(FACTS, json.dumps(facts))
    with pytest.raises(ProbeError, match="no superuser"):
        postgresql.parse(143, postgresql.sections(answer))


@pytest.mark.parametrize(
    ("value", "chosen"),
    [
        ("ddl, role,write", {"ddl", "role", "write"}),
        ("ALL, -misc", {"ddl", "function", "misc_set", "read", "role", "write"}),
        ("all, -all, ddl", {"ddl"}),
        ("-ddl, ddl", {"ddl"}),
        ("ddl, -ddl", set()),
        ("none", set()),
        ("", set()),
        ("nonsense", set()),
    ],
)
def test_classes_are_read_as_pgaudit_reads_them(value: str, chosen: set[str]) -> None:
    assert postgresql.classes(value) == chosen
