"""Hosts, ledger and effective parameters: what is accepted, and how errors read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from medsec.catalogue.controls import Control, load_control
from medsec.errors import UsageError
from medsec.inventory import effective, load_inventory

ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A copy of the example clinic."""
    shutil.copytree(ROOT / "inventory", tmp_path / "inventory")
    return tmp_path / "inventory"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def refused(site: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load_inventory(site)
    return caught.value.in_language("en")


def test_the_example_clinic_loads() -> None:
    inventory = load_inventory(ROOT / "inventory")
    assert set(inventory.hosts) == {"gateway", "his-app", "his-db", "backup", "terminal-1", "terminal-2"}
    assert inventory.hosts["his-db"].ledger.runs == ["postgresql", "mariadb"]
    assert inventory.hosts["his-db"].login.user == "admin"


def test_it_loads_whatever_the_terminal_was_left_like() -> None:
    """A program that was killed may leave standard input non-blocking; that is Ansible's command line's trouble, not ours."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    code = "import sys; from pathlib import Path; from medsec.inventory import load_inventory; load_inventory(Path(sys.argv[1]))"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, ROOT / "inventory"],
            stdin=reading,
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
    finally:
        os.close(reading)
        os.close(writing)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_missing_inventory_says_what_to_do(tmp_path: Path) -> None:
    assert "medsec init" in refused(tmp_path)


def test_a_host_without_a_ledger_entry_is_refused(site: Path) -> None:
    edit(site / "hosts.yml", "his-app: {", "his-web: {ansible_host: 10.66.1.9}\n        his-app: {")
    assert "'his-web' is not in the ledger" in refused(site)


def test_a_ledger_entry_without_a_host_is_refused(site: Path) -> None:
    edit(site / "hosts.yml", "        backup: {ansible_host: 10.66.2.10}\n", "")
    assert "'backup'" in refused(site)


def test_an_unknown_address_set_is_answered_with_the_known_ones(site: Path) -> None:
    edit(site / "group_vars/all/ledger.yml", "sources: [terminals]", "sources: [terminal]")
    message = refused(site)
    assert "'terminal'" in message
    assert "management" in message


def test_a_wrong_type_names_the_field(site: Path) -> None:
    edit(site / "group_vars/all/ledger.yml", "port: 8080, process", "port: eighty, process")
    message = refused(site)
    assert "listens" in message
    assert "eighty" in message


def test_broken_yaml_names_the_file(site: Path) -> None:
    (site / "hosts.yml").write_text("all: [", encoding="utf-8")
    assert "hosts.yml" in refused(site)


def test_limits(site: Path) -> None:
    inventory = load_inventory(site)
    assert [host.name for host in inventory.limit(["terminals", "!terminal-2"])] == ["terminal-1"]
    assert len(inventory.limit([])) == len(inventory.hosts)
    assert len(inventory.limit(["!gateway"])) == len(inventory.hosts) - 1
    with pytest.raises(UsageError, match="cashiers"):
        inventory.limit(["cashiers"])


@pytest.fixture
def password_quality() -> Control:
    return load_control(ROOT / "roles/accounts/controls/password_quality_enforced/control.yml")


def test_inventory_wins_over_the_default(site: Path, password_quality: Control) -> None:
    (site / "group_vars/servers.yml").write_text("password_quality_enforced_minlen: 14\n", encoding="utf-8")
    inventory = load_inventory(site)
    chosen = {
        name: effective(password_quality, inventory.hosts[name], inventory.ledger).minlen
        for name in ("his-app", "terminal-1")
    }
    assert chosen == {"his-app": 14, "terminal-1": 8}


def test_a_wrong_parameter_names_host_variable_and_value(site: Path, password_quality: Control) -> None:
    (site / "group_vars/servers.yml").write_text("password_quality_enforced_minlen: long\n", encoding="utf-8")
    inventory = load_inventory(site)
    with pytest.raises(UsageError) as caught:
        effective(password_quality, inventory.hosts["his-app"], inventory.ledger)
    for part in ("his-app", "password_quality_enforced_minlen", "'long'", "int"):
        assert part in caught.value.in_language("en")


def test_a_misspelt_parameter_is_refused(site: Path, password_quality: Control) -> None:
    (site / "group_vars/servers.yml").write_text("password_quality_enforced_minlength: 9\n", encoding="utf-8")
    inventory = load_inventory(site)
    with pytest.raises(UsageError, match="password_quality_enforced_minlen"):
        effective(password_quality, inventory.hosts["his-app"], inventory.ledger)


def hosts_yml(site: Path, group: dict[str, Any], host: dict[str, Any] | None = None) -> None:
    """Put `his-db` and `his-app` into a group `far` with the variables `group`."""
    listed = yaml.safe_load((site / "hosts.yml").read_text(encoding="utf-8"))
    listed["all"]["children"]["far"] = {"hosts": {"his-db": host or {}, "his-app": {}}, "vars": group}
    (site / "hosts.yml").write_text(yaml.safe_dump(listed), encoding="utf-8")


def test_a_site_says_how_many_of_its_hosts_are_worked_on_at_once(site: Path) -> None:
    hosts_yml(site, {"medsec_site_forks": 2})
    (site / "group_vars/terminals.yml").write_text("medsec_site_forks: 3\n", encoding="utf-8")
    assert load_inventory(site).site_forks == {"far": 2, "terminals": 3}


@pytest.mark.parametrize("value", [0, "many", True, 1.5])
def test_a_limit_that_is_no_number_of_hosts_is_refused(site: Path, value: object) -> None:
    hosts_yml(site, {"medsec_site_forks": value})
    for part in ("far", "medsec_site_forks", repr(value)):
        assert part in refused(site)


def test_a_limit_of_one_host_is_refused(site: Path) -> None:
    hosts_yml(site, {}, {"medsec_site_forks": 2})
    assert "his-db" in refused(site)


WAYS = [
    ("-o ProxyJump=ops@gate:2222", "", "ops@gate:2222", None),
    ("-J gate", "", "gate", None),
    ("-Jgate,inner", "", "gate,inner", None),
    ("-J ssh://ops@gate:2222,ssh://inner", "", "ops@gate:2222,inner", None),
    ("", "-o ProxyJump=gate", "gate", None),
    ("-o 'ProxyCommand=ssh -W %h:%p gate'", "", None, "ssh -W %h:%p gate"),
    ("-o 'ProxyCommand ssh -W %h:%p gate'", "", None, "ssh -W %h:%p gate"),
    ("-o ProxyJump=gate -o ProxyCommand=none", "", "gate", None),
    # As in ssh_config(5), what is said first counts, and common arguments are said before extra ones.
    ("-o ProxyJump=first", "-o ProxyJump=second", "first", None),
    ("-o ProxyCommand=none", "-J gate", None, None),
    ("-o proxyjump=NONE", "", None, None),
    ("-o User=x", "", None, None),
]


@pytest.mark.parametrize(("common", "extra", "jump", "proxy"), WAYS)
def test_the_way_to_a_host_is_read_as_ssh_reads_it(
    site: Path, common: str, extra: str, jump: str | None, proxy: str | None
) -> None:
    hosts_yml(site, {"ansible_ssh_common_args": common, "ansible_ssh_extra_args": extra})
    login = load_inventory(site).hosts["his-db"].login
    assert (login.jump, login.proxy, login.way) == (jump, proxy, jump or proxy)


def test_all_hosts_share_one_ledger(site: Path) -> None:
    """It is as long as the list of hosts: a copy for each would grow with its square."""
    hosts = load_inventory(site).hosts.values()
    assert len({id(host.variables["ledger"]) for host in hosts}) == 1


def test_a_date_without_quotes_is_the_text_of_one(site: Path) -> None:
    """A run keeps the parameters as JSON, which knows no dates."""
    hosts_yml(site, {"some_control_kept": [{"until": date(2026, 8, 31)}]})
    found = load_inventory(site).hosts["his-db"].variables["some_control_kept"]
    assert json.dumps(found) == '[{"until": "2026-08-31"}]'
