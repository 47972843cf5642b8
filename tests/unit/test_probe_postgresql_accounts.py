"""What the checks of accounts make of what a PostgreSQL server answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from medsec.errors import ProbeError
from medsec.probes.postgresql_accounts import parse

REFUSED = "ERROR:  22023: password is too short"


def role(name: str, **more: Any) -> dict[str, Any]:
    plain = {
        "super": False,
        "login": True,
        "CREATEROLE": False,
        "BYPASSRLS": False,
        "REPLICATION": False,
        "owns": False,
        "until": None,
        "verifier": None,
    }
    return {"name": name, **plain, **more}


FACTS: dict[str, Any] = {
    "super": True,
    "version": 150020,
    "settings": {"password_encryption": "scram-sha-256", "shared_preload_libraries": "passwordcheck"},
    "later": {"password_encryption": "scram-sha-256", "shared_preload_libraries": "passwordcheck"},
    "pending": [],
    "open": [],
    "overrides": None,
    "roles": [
        role("postgres", super=True, CREATEROLE=True, BYPASSRLS=True),
        role("pg_write_server_files", login=False),
        role("admins", login=False, super=True, CREATEROLE=True),
        role("vendors", login=False),
        role("his", verifier="md5"),
        role("report", until="2027-01-01", verifier="scram"),
    ],
    "members": [
        ["his", "vendors"],
        ["vendors", "admins"],
        ["vendors", "pg_write_server_files"],
        ["admins", "vendors"],
    ],
}


def answer(
    *, tried: list[str], schemas: tuple[str, ...] = ('["his", [], null, null]',), **facts: Any
) -> dict[str, list[str]]:
    return {
        "about": ["5432\t/var/lib/postgresql/15/main\t/dev/null\tpostgres"],
        "facts": [json.dumps(FACTS | facts)],
        "schemas": list(schemas),
        "tried": tried,
    }


def test_powers_come_by_way_of_groups() -> None:
    server = parse(
        answer(
            tried=["short\ttaken", "strong\ttaken"],
            schemas=('["his", ["public"], null, null]', '["lis", [], null, null]'),
        )
    )
    accounts = {account.name: account for account in server.accounts}
    assert accounts.keys() == {"postgres", "his", "report"}
    assert accounts["his"].powers == ("CREATEROLE", "SUPERUSER", "pg_write_server_files")
    assert accounts["his"].verifier == "md5"
    assert accounts["report"].powers == () and accounts["report"].until == "2027-01-01"
    assert server.open_schemas == {"his": ("public",)}


def test_a_refusal_is_told_from_a_failure_by_its_code_in_every_language() -> None:
    tried = ["short\t错误:  22023: 口令太短", "name\tERROR:  28000: credcheck", "letters\ttaken", "strong\ttaken"]
    assert parse(answer(tried=tried)).taken == {"short": False, "name": False, "letters": True, "strong": True}


@pytest.mark.parametrize(
    "tried",
    [
        ["short\tERROR:  53300: too many connections"],
        ["short\t"],
        ["short\tpsql: error: connection refused"],
        # Where everything is refused, it is not for being weak.
        [f"short\t{REFUSED}", f"strong\t{REFUSED}"],
    ],
)
def test_what_proves_nothing_is_an_error(tried: list[str]) -> None:
    with pytest.raises(ProbeError):
        parse(answer(tried=tried))


def test_a_database_that_cannot_be_asked_is_an_error() -> None:
    with pytest.raises(ProbeError, match="lis"):
        parse(answer(tried=["strong\ttaken"], schemas=('["his", [], null, null]', "lis")))


def test_an_answer_by_no_superuser_is_an_error() -> None:
    with pytest.raises(ProbeError):
        parse(answer(tried=[], super=False))


def test_what_lends_a_superusers_powers_is_named_with_whom_it_lends_them_to() -> None:
    told = '["his", [], [["routine run(text)", ["his", "report"]], ["routine pg_read_file(text)", []]], [["user mapping for server back", ["his"]]]]'
    found = {(way.what, tuple(sorted(way.accounts))) for way in parse(answer(tried=[], schemas=(told,))).ways_up}
    assert found == {
        ("routine run(text)", ("his", "report")),
        ("routine pg_read_file(text)", ()),
        ("user mapping for server back", ("his",)),
    }


def test_replication_is_a_power() -> None:
    roles = [role("postgres", super=True), role("his", REPLICATION=True)]
    assert parse(answer(tried=[], roles=roles, members=None)).accounts[1].powers == ("REPLICATION",)
