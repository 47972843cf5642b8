"""What the control of versions makes of servers, packages, lists, the table and what people read."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from medsec.catalogue.end_of_support import SupportTable, load_support_table
from medsec.errors import ProbeError, UsageError
from medsec.inventory.ledger import LedgerHost
from medsec.probes.database_versions import (
    Asked,
    Found,
    PackageList,
    Process,
    Updates,
    mariadb_version,
    packaged_version,
    parse,
    postgresql_version,
)
from medsec.resources import root

# As a lab host answers (Debian 12), with a library that was replaced and a held update.
ANSWER = (
    "server\t38\tmariadbd\t/usr/sbin/mariadbd\tsame\tmariadb-server-core\t1:10.11.19-0+deb12u1\t\n"
    "server\t80\tpostgres\t/usr/lib/postgresql/15/bin/postgres\treplaced\tpostgresql-15\t15.20-0+deb12u1\t/usr/lib/x86_64-linux-gnu/libssl.so.3 \n"
    "server\t99\tmysql\t/opt/mysql/bin/mysqld\tsame\t\t\t\n"
    "update\tlibpq5:\t15.20-0+deb12u1\t15.21-0+deb12u1\n"
    "list\t1795378180\t9\t$(ORIGIN)\n"
    "missing\t'http://mirror.clinic/dists/bookworm-security/InRelease'\n"
    "end\n"
)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TODAY = NOW.date()
PROCESS = Process(38, "mariadb", "/usr/sbin/mariadbd", False, "mariadb-server-core", "1:10.11.19-0+deb12u1", ())
SERVER = Asked(PROCESS, "MariaDB 10.11.19 (/run/mysqld/mysqld.sock)", "10.11.19")
ORACLE = {
    "product": "oracle",
    "version": "19.28.0.0",
    "newest": "19.28.0.0",
    "read_by": "张敏",
    "read": "2026-11-01",
}


def made(days: float) -> int:
    return int((NOW - timedelta(days=days)).timestamp())


@pytest.fixture(scope="module")
def check() -> ModuleType:
    path = root() / "roles/database/controls/database_version_supported/check.py"
    spec = importlib.util.spec_from_file_location("database_version_supported", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def table() -> SupportTable:
    return load_support_table(root() / "roles/database/end_of_support.yml")


def test_the_answer_is_read() -> None:
    processes, updates = parse(ANSWER)
    assert processes[0] == PROCESS
    assert processes[1].replaced
    assert processes[1].libraries == ("/usr/lib/x86_64-linux-gnu/libssl.so.3",)
    assert (processes[2].product, processes[2].package) == ("mysql", "")
    assert updates.waiting == (("libpq5", "15.20-0+deb12u1", "15.21-0+deb12u1"),)
    assert updates.lists == (PackageList(1795378180, 9, ""),)
    assert updates.missing == ("http://mirror.clinic/dists/bookworm-security/InRelease",)


@pytest.mark.parametrize(
    ("told", "version"), [("150020", "15.20"), ("180000", "18.0"), ("90624", "9.6.24"), ("100023", "10.23")]
)
def test_a_number_of_postgresql(told: str, version: str) -> None:
    assert postgresql_version([told]) == version


@pytest.mark.parametrize("told", ["", "on", "15.20"])
def test_what_is_no_version_is_no_answer(told: str) -> None:
    with pytest.raises(ProbeError):
        postgresql_version([told])
    with pytest.raises(ProbeError):
        mariadb_version(told)


def test_versions_of_mariadb_and_of_packages() -> None:
    assert mariadb_version("10.11.19-MariaDB-0+deb12u1") == "10.11.19"
    assert mariadb_version("5.5.5-10.6.21-MariaDB") == "10.6.21"
    assert packaged_version("1:10.11.19-0+deb12u1") == "10.11.19"
    assert packaged_version("15.20-0+deb12u1") == packaged_version("15.20-1.pgdg120+1") == "15.20"


def test_the_series_is_the_longest_that_fits(table: SupportTable) -> None:
    def series(product: str, version: str) -> str | None:
        line = table.of(product, version)
        return line.series if line else None

    assert series("mariadb", "10.11.19") == "10.11"
    assert series("mariadb", "10.1.48") == "10.1"
    assert series("oracle", "11.2.0.4") == "11.2"
    assert series("postgresql", "15.20") == "15"
    assert series("postgresql", "1.5") is None
    assert series("mariadb", "12.3.1") is None
    assert series("dm8", "8.1") is None


def test_a_site_enters_longer_support() -> None:
    entered = [{"product": "oracle", "series": "11.2", "until": "2027-06-30", "source": "contract 12"}]
    path = root() / "roles/database/end_of_support.yml"
    line = load_support_table(path, entered, "here").of("oracle", "11.2.0.4")
    assert line is not None and line.own and line.until == date(2027, 6, 30)
    for wrong in ({"until": "soon"}, {"series": "11g"}, {"source": ""}):
        with pytest.raises(UsageError, match="here"):
            load_support_table(path, [entered[0] | wrong], "here")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ""),
        ({"version": "10.11.18", "name": "MariaDB 10.11.18"}, "is not what is installed (mariadb-server-core 1:10.11.19"),
        ({"process": replace(PROCESS, replaced=True)}, "was replaced on the disk since it started"),
        ({"process": replace(PROCESS, libraries=("/usr/lib/libssl.so.3",))}, "libraries that were replaced"),
        ({"process": replace(PROCESS, package="", installed="")}, "belongs to no package"),
    ],
)  # fmt: skip
def test_a_server_runs_what_is_installed(
    check: ModuleType, table: SupportTable, change: dict[str, Any], expected: str
) -> None:
    told = "; ".join(text.en for text in check._of_server(replace(SERVER, **change), table, TODAY))
    assert expected in told and bool(told) is bool(expected)


def test_the_last_day_still_counts(check: ModuleType, table: SupportTable) -> None:
    assert not list(check._of_server(SERVER, table, date(2028, 2, 16)))
    [told] = check._of_server(SERVER, table, date(2028, 2, 17))
    assert (
        "support of 10.11 ended on 2028-02-16 (https://mariadb.org/about/#maintenance-policy); supported are"
        in told.en
    )
    assert "11.8 (2028-06-04), 11.4 (2029-05-29)" in told.en


@pytest.mark.parametrize(
    ("updates", "expected"),
    [
        (Updates(lists=(PackageList(made(2), 3, "Debian"),)), ""),
        # A fresh list of somebody else's, and of the servers' own source a stale one.
        (Updates(lists=(PackageList(made(2), 0, "Docker"), PackageList(made(93), 3, "Debian"))), "93 days old, 92 at most"),
        # Of the source's two lists (releases, security) the newer one counts, whether or not it has the package today.
        (Updates(lists=(PackageList(made(2), 0, "Debian"), PackageList(made(93), 3, "Debian"))), ""),
        (Updates(lists=(PackageList(made(2), 0, "Docker"),)), "no list of packages on the host has those"),
        (Updates(), "no list of packages on the host has those"),
        (Updates(lists=(PackageList(made(-3), 3, "Debian"),)), "-3 days old"),
        (Updates(lists=(PackageList(made(2), 3, ""),), missing=("http://m/security",)), "the host has no list of the packages of http://m/security"),
        (Updates(waiting=(("libpq5", "15.20-0", "15.21-0"),), lists=(PackageList(made(2), 3, ""),)), "updates wait, to be installed and the server restarted: libpq5 15.20-0 -> 15.21-0"),
    ],
)  # fmt: skip
def test_updates_are_known_or_it_is_said(check: ModuleType, updates: Updates, expected: str) -> None:
    told = "; ".join(text.en for text in check._of_updates(Found((SERVER,), (), updates), 92, NOW))
    assert expected in told and bool(told) is bool(expected)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, ""),
        ({"version": "11.2.0.4", "newest": "11.2.0.4"}, "Oracle Database 11.2.0.4 (as 张敏 read it on 2026-11-01): support of 11.2 ended on 2015-01-31"),
        ({"version": "19.3.0.0"}, "19.28.0.0 waits to be installed"),
        ({"version": "26.1", "newest": "26.1"}, "until when it is mended is not known"),
        ({"read": "2026-01-01"}, "read it again, at least every 184 days"),
        ({"read": "2026-11-23"}, "read it again"),
        (None, "its version is not known: medsec cannot ask it"),
    ],
)  # fmt: skip
def test_what_people_read(
    check: ModuleType, table: SupportTable, entry: dict[str, str] | None, expected: str
) -> None:
    versions = [] if entry is None else [ORACLE | entry]
    params = SimpleNamespace(products=["oracle"], versions=versions, told_days=184)
    told = "; ".join(text.en for text in check._of_told("oracle", params, table, TODAY))
    assert expected in told and bool(told) is bool(expected)


def test_what_runs_unregistered_is_told(check: ModuleType, table: SupportTable) -> None:
    found = Found((), (replace(PROCESS, product="mysql"),))
    params = SimpleNamespace(products=[], versions=[], told_days=184)
    assert check._told(found, params) == ["mysql"]
    told = "; ".join(text.en for text in check._of_told("mysql", params, table, TODAY))
    assert "MySQL runs here, and the ledger does not register it" in told
    [unseen] = check._unseen(found, SimpleNamespace(products=["mariadb", "mysql"]))
    assert "the ledger says that mariadb runs here, and no such server is running" in unseen.en


def test_an_old_table_supports_nothing(check: ModuleType, table: SupportTable) -> None:
    params = SimpleNamespace(versions=[], table_days=400)
    found = Found((SERVER,), ())
    assert not list(check._of_table(found, params, table, table.as_of + timedelta(days=400)))
    [told] = check._of_table(found, params, table, table.as_of + timedelta(days=401))
    assert "401 days old, 400 at most" in told.en
    # What has ended needs no new table, and a site's own date none at all.
    ended = Found((replace(SERVER, version="10.5.29"),), ())
    assert not list(check._of_table(ended, params, table, table.as_of + timedelta(days=401)))


@pytest.mark.parametrize("change", [{"product": "mariadb"}, {"product": "dm8"}, {"version": "19c"}])
def test_the_ledger_takes_versions_of_what_runs(change: dict[str, str]) -> None:
    both = {"zh": "文", "en": "text"}
    entry = {
        "kind": "db", "os_family": "debian", "address": "10.66.1.20", "department": both, "owner": "张敏",
        "location": both, "purpose": both, "runs": ["oracle", "mariadb"],
    }  # fmt: skip
    assert LedgerHost.model_validate(entry | {"versions": [ORACLE]}).versions[0].version == "19.28.0.0"
    with pytest.raises(ValueError, match="versions"):
        LedgerHost.model_validate(entry | {"versions": [ORACLE | change]})
