"""Who stands behind the administrators' accounts: what the ledger takes, and what is made of a server's and a host's answers."""

from __future__ import annotations

import importlib.util
import json
import sys
from typing import Any

import pytest
import yaml

from medsec.catalogue.controls import load_controls
from medsec.catalogue.source import validate
from medsec.errors import ProbeError, UsageError
from medsec.inventory import load_inventory
from medsec.inventory.ledger import Administrator, Ledger
from medsec.judge.applicability import applies_to, why_not_applicable, why_not_registered
from medsec.probes.postgresql_administrators import Login, parse
from medsec.resources import root

CONTROL = "postgresql_administrators_separated"
LI = {"person": "Li", "role": "database", "account": "dba_li"}


def role(name: str, **more: Any) -> dict[str, Any]:
    plain = {"super": False, "login": True, "CREATEROLE": False, "BYPASSRLS": False, "REPLICATION": False}
    return {"name": name, **plain, **more}


FACTS: dict[str, Any] = {
    "super": True,
    "user": "postgres",
    "version": 150020,
    "settings": {
        "shared_preload_libraries": ["pgaudit", "pgaudit,set_user"],
        "set_user.superuser_allowlist": [None, "*"],
    },
    "pending": ["shared_preload_libraries"],
    "roles": [
        role("postgres", super=True),
        role("dbas", login=False, CREATEROLE=True),
        role("old", login=False, super=True),
        role("dba_li"),
        role("his"),
    ],
    "members": [["dba_li", "dbas"], ["dbas", "old"]],
}


def answer(*granted: Any, functions: str = '["postgres", false, null]', **facts: Any) -> dict[str, list[str]]:
    return {
        "about": ["5432\t/var/lib/postgresql/15/main\t/dev/null\tpostgres"],
        "facts": [json.dumps(FACTS | facts), *map(json.dumps, granted)],
        "functions": functions.splitlines(),
    }


def test_a_server_is_read_with_what_holds_now_and_later() -> None:
    functions = '["his", true, [["set_user_u(text)", ["PUBLIC", "his"]]]]\n["postgres", false, null]'
    server = parse(answer(["pgaudit.log", "PUBLIC", "SET"], functions=functions))
    assert (server.settings["shared_preload_libraries"], server.later["shared_preload_libraries"]) == (
        "pgaudit",
        "pgaudit,set_user",
    )
    assert server.settings["set_user.superuser_allowlist"] == ""
    assert server.extended == {"his"}
    assert [(one.database, one.name, one.callers) for one in server.functions] == [
        ("his", "set_user_u(text)", {"PUBLIC", "his"})
    ]
    assert [(one.setting, one.holder, one.right) for one in server.grants] == [("pgaudit.log", "PUBLIC", "SET")]


def test_powers_and_groups_are_followed() -> None:
    server = parse(answer())
    assert server.roles["dba_li"].powers == ("CREATEROLE", "SUPERUSER")
    assert server.roles["his"].powers == ()
    assert server.belonging("old") == {"dba_li"}
    assert server.belonging("his") == {"his"}


@pytest.mark.parametrize(
    "wrong", [answer(super=False), answer(roles=None), answer(functions=""), answer(functions="his")]
)
def test_what_cannot_be_relied_on_is_an_error(wrong: dict[str, list[str]]) -> None:
    with pytest.raises(ProbeError):
        parse(wrong)


@pytest.mark.parametrize(
    "wrong", [{"role": "boss"}, {"account": "li-dba"}, {"account": "pg_li"}, {"account": "li; id"}, {"person": ""}]
)
def test_the_ledger_takes_no_such_administrator(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        validate(Administrator, LI | wrong, "ledger")


def test_an_account_of_the_operating_system_may_have_a_hyphen() -> None:
    assert validate(Administrator, LI | {"role": "system", "account": "ops-1"}, "ledger").logins == []


def test_without_persons_nothing_is_said_and_that_is_no_pass() -> None:
    host = load_inventory(root() / "inventory").hosts["his-db"]
    control = load_controls(root() / "roles")[CONTROL]
    assert applies_to(control, host)
    file = root() / "inventory/group_vars/all/ledger.yml"
    ledger = yaml.safe_load(file.read_text(encoding="utf-8"))["ledger"]
    del ledger["hosts"]["his-db"]["administrators"]
    bare = type(host)(**{**vars(host), "ledger": validate(Ledger, ledger, "ledger").hosts["his-db"]})
    assert not applies_to(control, bare)
    assert why_not_applicable(control, bare) is None
    reason = why_not_registered(control, bare)
    assert reason is not None
    assert "administrators" in reason.en
    assert "管理员" in reason.zh


def test_a_service_may_have_its_one_command_and_nobody_else() -> None:
    place = load_controls(root() / "roles")[CONTROL].check_path
    description = importlib.util.spec_from_file_location("administrators_check", place)
    assert description is not None
    assert description.loader is not None
    module = importlib.util.module_from_spec(description)
    sys.modules[module.__name__] = module  # dataclasses look there
    description.loader.exec_module(module)
    found = [
        Login("root", 0, frozenset({"root"}), ("(ALL : ALL) ALL",)),
        Login("service", 998, frozenset({"service"}), ("(root) NOPASSWD: /bin/true",)),
        Login("robot", 997, frozenset({"robot"}), ("(ALL) NOPASSWD: ALL",)),
        Login("ops", 1001, frozenset({"ops"}), ("(postgres) NOPASSWD: /bin/ls",)),
        Login("dba_li", 1002, frozenset({"dba_li", "docker"}), ()),
        Login("postgres", 110, frozenset({"postgres"}), ()),
    ]
    said = [one.en for one in module._root(module._People((LI,)), found)]
    assert [words.partition(",")[0].split()[-1] for words in said] == ["robot", "ops", "Li"]
    assert "group docker" in said[-1]
