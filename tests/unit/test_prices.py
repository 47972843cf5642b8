"""Tables of prices: what the ledger and `prices.yml` may say, what counts as a change, and who the audit says made it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from medsec_cli.main import build

from medsec import resources
from medsec.catalogue.controls import load_controls
from medsec.errors import UsageError
from medsec.inventory import Inventory, load_inventory
from medsec.inventory.prices import Approval, ApprovedTable, PriceTable, add_approvals, last
from medsec.judge.applicability import why_not_applicable, why_not_registered
from medsec.prices.approving import State, approval, declaring
from medsec.probes import price_tables
from medsec.probes.price_tables import Held, change_in, difference
from medsec.text import says

ROOT = resources.root()
PRICES = {"product": "postgresql", "database": "his", "table": "public.price_list"}
DRUGS = {"product": "mariadb", "database": "settle", "table": "价表"}
WAS: dict[str, Any] = {**PRICES, "rows": 100, "hash": "-7", "definition": "12", "identity": "16390"}
NOW = Held(100, "-7", "12", "16390")
TIME = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def clinic(folder: Path, declared: object = (), approved: object = None, **entry: object) -> Path:
    """Write the example clinic with tables that his-db declares, and what was approved."""
    (folder / "group_vars/all").mkdir(parents=True)
    (folder / "hosts.yml").write_bytes((ROOT / "inventory/hosts.yml").read_bytes())
    value = yaml.safe_load((ROOT / "inventory/group_vars/all/ledger.yml").read_text(encoding="utf-8"))
    value["ledger"]["hosts"]["his-db"] |= {"price_catalogue": declared, **entry}
    (folder / "group_vars/all/ledger.yml").write_text(yaml.safe_dump(value), encoding="utf-8")
    if approved is not None:
        (folder / "prices.yml").write_text(yaml.safe_dump(approved), encoding="utf-8")
    return folder


def approved(**changes: object) -> dict[str, Any]:
    entry = {
        "host": "his-db",
        "change": "BG-1",
        "approver": "王建国",
        "approved": TIME.isoformat(),
        "tables": [WAS],
    }
    return entry | changes


def loaded(*arguments: Any, **more: Any) -> Inventory:
    return load_inventory(clinic(*arguments, **more))


def test_a_table_without_a_port_is_of_the_usual_server() -> None:
    assert PriceTable(**PRICES).label == "postgresql 5432 his.public.price_list"
    assert PriceTable(**DRUGS, port=3307).label == "mariadb 3307 settle.价表"


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ([PRICES | {"tabel": "x"}], r"price_catalogue.*tabel"),
        ([PRICES | {"product": "oracle"}], "'postgresql' or 'mariadb'"),
        ([PRICES | {"table": "price_list"}], "must be schema.table, such as public.price_list, got 'price_list'"),
        ([PRICES | {"table": "public."}], "must be schema.table"),
        ([PRICES | {"database": "host=evil"}], "must be a name without control characters and `=`"),
        ([PRICES | {"table": "public.a\nb"}], "must be a name without control characters"),
        ([PRICES | {"port": 0}], "port"),
        ([PRICES, PRICES], "his.public.price_list is declared twice"),
    ],
)
def test_a_wrong_declaration_is_refused_with_file_and_value(tmp_path: Path, declared: object, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        loaded(tmp_path, declared)
    assert str(tmp_path / "group_vars/all/ledger.yml") in str(caught.value)
    assert "his-db" in str(caught.value)


def test_what_the_host_does_not_run_holds_no_prices(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="registered to run postgresql; add mariadb to `runs`"):
        loaded(tmp_path, [DRUGS], runs=["postgresql"])


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"host": "his-db"}, "must be a list of approvals, got dict"),
        ([approved(host="his-bd")], "approval 1: unknown host 'his-bd'; hosts: backup, gateway"),
        ([approved(), approved(change=" ")], "approval 2.*change.*must not be empty"),
        ([approved(tables=[])], "approval 1.*tables"),
        ([approved(approved="2026-11-20 08:00:00")], "approved.*timezone"),
        ([approved(tables=[WAS | {"rows": -1}])], "rows"),
        ([approved(tables=[WAS | {"hash": "0x"}])], "hash"),
        ([approved(by="x")], "approval 1.*by"),
    ],
)
def test_a_wrong_approval_is_refused_with_file_and_entry(tmp_path: Path, entries: object, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        loaded(tmp_path, [PRICES], entries)
    assert str(tmp_path / "prices.yml") in str(caught.value)


def test_approvals_have_one_home(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'his-db': price_approvals stand in .*prices\.yml; move them there"):
        loaded(tmp_path, [PRICES], price_approvals=[approved()])


def test_the_newest_approval_of_a_table_counts_and_is_added_behind_the_others(tmp_path: Path) -> None:
    found = loaded(tmp_path, [PRICES], [approved()])
    (tmp_path / "prices.yml").write_text(
        "# kept\n" + (tmp_path / "prices.yml").read_text(encoding="utf-8").rstrip("\n"), encoding="utf-8"
    )
    old = found.hosts["his-db"].ledger.price_approvals[0]
    new = Approval(**approved(change="BG-2", approved=TIME.replace(day=21), tables=[WAS | {"rows": 101}]))
    assert add_approvals(tmp_path, [new]) == tmp_path / "prices.yml"
    assert (tmp_path / "prices.yml").read_text(encoding="utf-8").startswith("# kept\n")
    again = load_inventory(tmp_path).hosts["his-db"].ledger.price_approvals
    assert again == [old, new]
    for order in (again, again[::-1]):
        counting = last(order, PriceTable(**PRICES))
        assert counting is not None
        assert (counting[0].change, counting[1].rows) == ("BG-2", 101)
    twin = new.model_copy(update={"change": "BG-3"})
    counting = last([*again, twin], PriceTable(**PRICES))
    assert counting is not None
    assert counting[0].change == "BG-3"
    assert last(again, PriceTable(**DRUGS)) is None
    assert last(again, PriceTable(**PRICES, port=5433)) is None


def test_where_no_table_is_declared_nobody_has_looked(tmp_path: Path) -> None:
    control = load_controls(ROOT / "roles")["price_catalogue_unchanged"]
    host = loaded(tmp_path / "none").hosts["his-db"]
    assert why_not_applicable(control, host) is None
    assert "declares no table of prices" in str(why_not_registered(control, host))
    assert why_not_registered(control, loaded(tmp_path / "one", [PRICES]).hosts["his-db"]) is None


@pytest.mark.parametrize(
    ("now", "told", "grave"),
    [
        (NOW, None, False),
        (Held(100, "8", "12", "16390"), "rows 100 -> 100, their contents changed", False),
        (Held(95, "8", "12", "16390"), "rows 100 -> 95", False),
        (Held(94, "8", "12", "16390"), "rows 100 -> 94; more than 5 % of its 100 rows are gone", True),
        (Held(200, "8", "12", "16390"), "rows 100 -> 200", False),
        (Held(100, "-7", "13", "16390"), "its definition changed", False),
        (Held(100, "-7", "12", "16399"), "another table of the same 100 rows", False),
        (price_tables.GONE, "or the ledger is wrong; more than 5 %", True),
        (says(en="a view", zh="视图"), "a view", False),
    ],
)
def test_what_differs_is_told_with_its_gravity(now: Held, told: str | None, grave: bool) -> None:
    found = difference(now, ApprovedTable(**WAS), 5)
    assert (told in found.en if told and found else found is None) is True
    assert found is None or (("class-1 fault" in found.en) is grave and ("一类故障" in found.zh) is grave)


def test_only_ordinary_tables_are_approved(tmp_path: Path) -> None:
    host = loaded(tmp_path, [PRICES]).hosts["his-db"]
    table = host.ledger.price_catalogue[0]
    made = approval([State(host, table, NOW, None, None)], "BG-1", "王建国")
    assert made.tables == [ApprovedTable(**WAS)]
    with pytest.raises(
        UsageError, match=r"his-db: postgresql 5432 his\.public\.price_list cannot be approved: gone"
    ):
        approval([State(host, table, says(en="gone", zh="已删除"), None, None)], "BG-1", "王建国")


def test_a_name_that_is_not_declared_is_refused_with_those_that_are(tmp_path: Path) -> None:
    hosts = loaded(tmp_path, [PRICES, DRUGS]).limit()
    for name in ("public.price_list", "his.public.price_list"):
        ((_, tables),) = declaring(hosts, [name])
        assert [table.label for table in tables] == ["postgresql 5432 his.public.price_list"]
    with pytest.raises(
        UsageError, match=r"no declared table 'prices'; declared: his\.public\.price_list, settle\.价表"
    ):
        declaring(hosts, ["prices"])
    with pytest.raises(
        UsageError, match=r"declares no table of prices or catalogues \(price_catalogue\) on gateway;"
    ):
        declaring([host for host in hosts if host.name == "gateway"])


def test_the_sql_is_that_of_the_manifests_narrowed_and_limited() -> None:
    """Fails where the manifests' SQL is changed so that it can no longer be narrowed."""
    question = price_tables._pg_question([PriceTable(**PRICES), PriceTable(**PRICES | {"database": "o'neil"})], 7)
    assert question.count("hashtextextended((medsec.*)::text, 0)") == 2
    assert "SET statement_timeout = '7s';" in question
    assert "statement_timeout = 0" not in question
    assert "ask 'o'\"'\"'neil'" in question
    assert b"public.price_list".hex() in question
    script = price_tables._maria_script("client", 3306, {"settle": [PriceTable(**DRUGS)]}, 7)
    assert script.count("max_statement_time=7") == 3
    assert "FROM information_schema.tables AS t\nJOIN" in script
    assert "@NAMES@" not in script + question


PG_LINE = "2026-11-23 07:51:32.036 CST [1990] db=his user=his client=10.66.1.10(59000) LOG:  AUDIT: SESSION,1,1,{},UPDATE,TABLE,public.{},UPDATE {} SET price = 0,<not logged>"
MARIA_LINE = (
    "2026-11-23T07:51:32.123641+08:00 db mariadb-audit: db,clerk,10.66.1.10,5,31,QUERY,settle,'DELETE FROM 价表',0"
)
PG_CSV = """2026-11-23 08:00:21.384 CST,"his","his",1000,"10.66.1.10:51234",6b03.3e8,1,"TRUNCATE TABLE",2026-11-23 08:00:21 CST,3/46,\
729,LOG,00000,"AUDIT: SESSION,1,1,WRITE,TRUNCATE TABLE,TABLE,public.price_list,TRUNCATE price_list,<not logged>",,"""
MARIA_FILE = "20261123 07:51:32,db,clerk,10.66.1.10,5,31,QUERY,settle,'/* x */ truncate 价表',0"


def test_who_changed_it_is_read_from_each_audits_line() -> None:
    found = change_in(PG_LINE.format("WRITE", "price_list", "price_list"), PriceTable(**PRICES), TIME)
    assert found is not None
    assert (found.told, found.statement) == (
        "2026-11-23 07:51:32.036 CST [1990] db=his user=his client=10.66.1.10(59000)",
        "UPDATE",
    )
    found = change_in(PG_CSV, PriceTable(**PRICES), TIME)
    assert found is not None
    assert found.told == "2026-11-23 08:00:21.384 CST his@10.66.1.10:51234"
    assert found.statement == "TRUNCATE TABLE"
    found = change_in(MARIA_LINE, PriceTable(**DRUGS), TIME)
    assert found is not None
    assert (found.told, found.statement) == ("2026-11-23T07:51:32.123641+08:00 clerk@10.66.1.10", "DELETE")
    found = change_in(MARIA_FILE, PriceTable(**DRUGS), TIME)
    assert found is not None
    assert (found.told, found.statement) == ("20261123 07:51:32 clerk@10.66.1.10", "TRUNCATE")
    reading = MARIA_FILE.replace("truncate", "SELECT update_time FROM")
    assert change_in(reading, PriceTable(**DRUGS), TIME) is None


@pytest.mark.parametrize(
    "line",
    [
        PG_LINE.format("READ", "price_list", "price_list"),
        PG_LINE.format("WRITE", "price_list_old", "price_list_old"),
        "2026-11-23 07:51:32 user=his LOG:  statement: UPDATE price_list SET price = 0",
    ],
)
def test_nobody_is_named_for_another_table_or_for_reading(line: str) -> None:
    assert change_in(line, PriceTable(**PRICES), TIME) is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "--table", "x"], "no declared table 'x'"),
        (["diff", "--limit", "nobody"], "'nobody' matches no host; hosts: gateway"),
        (["diff", "--limit", "his-app"], "declares no table of prices"),
        (["approve", "--change", " ", "--approver", "x"], "--change must not be empty"),
    ],
)
def test_what_is_asked_wrongly_is_an_error_of_the_question(
    tmp_path: Path, arguments: list[str], told: str
) -> None:
    folder = clinic(tmp_path, [PRICES])
    result = CliRunner().invoke(build("en"), ["prices", *arguments, "-i", str(folder)])
    assert isinstance(result.exception, UsageError)  # main() ends with 2 for it
    assert told in str(result.exception)


def test_show_names_what_was_never_approved(tmp_path: Path) -> None:
    folder = clinic(tmp_path, [PRICES, DRUGS], [approved()])
    result = CliRunner().invoke(build("en"), ["prices", "show", "-i", str(folder)])
    first, second = result.output.splitlines()[-2:]
    assert "100" in first
    assert "BG-1" in first
    assert "never approved" in second
