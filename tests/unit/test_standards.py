"""The standards that ship: complete, in both languages, consistent, quick to load, and refused when damaged."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from medsec.catalogue.controls import load_controls
from medsec.catalogue.source import Bilingual
from medsec.catalogue.standards import Standards, load_standards
from medsec.errors import UsageError
from medsec.resources import root

SHIPPED = Path(__file__).resolve().parents[2] / "standards"
CJK = "[\u4e00-\u9fff）”]"
HALF_WIDTH = re.compile(rf"{CJK}[,;:()?!]|[,;:()?!](?:[\u4e00-\u9fff]|（|“)")


@pytest.fixture(scope="module")
def standards() -> Standards:
    return load_standards(SHIPPED)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "standards"))


def texts_of(value: object, where: str = "") -> Iterator[tuple[str, Bilingual]]:
    if isinstance(value, Bilingual):
        yield where, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from texts_of(getattr(value, name), f"{where}.{name}")


def all_texts(standards: Standards) -> Iterator[tuple[str, Bilingual]]:
    for found in (standards.items, standards.clauses, standards.registers, standards.requirements):
        for name, entry in found.items():
            yield from texts_of(entry, name)


def test_every_inspected_item_and_requirement_is_there(standards: Standards) -> None:
    assert len(standards.items) == 70
    assert len(standards.requirements) == 393
    families = {
        "NW": 12,
        "AC": 8,
        "LG": 4,
        "DB": 8,
        "UM": 4,
        "RC": 2,
        "BK": 5,
        "TM": 2,
        "AV": 2,
        "PT": 2,
        "FP": 3,
        "TL": 6,
    }
    for prefix, count in {**families, "DC": 12}.items():
        assert [name for name in standards.items if name.startswith(prefix)] == [
            f"{prefix}-{number:02}" for number in range(1, count + 1)
        ]


def test_the_laws_and_standards_of_the_issue_have_a_register(standards: Standards) -> None:
    for name, least in {
        "gbt_22239_2019": 120,
        "gbt_28448_2019": 50,
        "cybersecurity_law": 5,
        "data_security_law": 2,
        "personal_information_law": 2,
        "jilin_2025_4": 30,
        "health_2022_29": 10,
        "putian_2019_120": 5,
        "nhsa_2021_23": 3,
        "incident_reporting_2025": 2,
    }.items():
        assert len(standards.registers[name].clauses) >= least, name


def test_chinese_is_chinese_and_english_is_english(standards: Standards) -> None:
    code = (".failing_example", ".text")
    for where, text in all_texts(standards):
        if not where.endswith(code):
            assert re.search("[\u4e00-\u9fff]", text.zh), where
        assert not re.search("[\u4e00-\u9fff]", text.en), f"{where}: {text.en}"


def test_chinese_punctuation_is_full_width(standards: Standards) -> None:
    wrong = [f"{where}: {text.zh}" for where, text in all_texts(standards) if HALF_WIDTH.search(text.zh)]
    assert wrong == []


def test_the_cybersecurity_law_answers_to_both_article_numbers(standards: Standards) -> None:
    new = standards.clause("网络安全法 第二十三条第（三）项")
    assert new.former == "第二十一条第（三）项"
    assert standards.clause("网络安全法 第二十一条第(三)项") is new
    assert "LG-02" in new.items


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("GB/T 22239-2019 8.1.4.1 a)", "GB/T 22239-2019 8.1.4.1 a)"),
        ("8.1.4.1a", "GB/T 22239-2019 8.1.4.1 a)"),
        ("7.1.4.1 a)", "GB/T 22239-2019 8.1.4.1 a)"),
        ("l3-ces1-01", "GB/T 28448-2019 L3-CES1-01"),
        ("《吉医保规〔2025〕4号》第二十八条", "吉医保规〔2025〕4号 第二十八条"),
        ("nw-10", "NW-10"),
        ("S2-34", "S2-34"),
    ],
)
def test_items_clauses_and_requirements_are_found_as_people_cite_them(
    standards: Standards, reference: str, found: str
) -> None:
    assert standards.find(reference).id == found


@pytest.mark.parametrize("unknown", ["NW-99", "8.1.99", "", "第二百条"])
def test_an_unknown_reference_is_refused_with_the_next_step(standards: Standards, unknown: str) -> None:
    with pytest.raises(UsageError, match="unknown clause") as error:
        standards.find(unknown)
    assert "medsec controls" in str(error.value)
    assert "没有编号为" in error.value.in_language("zh")


def test_an_ambiguous_number_names_its_candidates(standards: Standards) -> None:
    with pytest.raises(
        UsageError, match=r"ambiguous.*国卫规划发〔2022〕29号 第二十八条, 吉医保规〔2025〕4号 第二十八条"
    ):
        standards.clause("第二十八条")


def test_automated_is_computed_and_never_more_than_what_is_served(standards: Standards) -> None:
    clause = standards.clause("8.1.4.1 b)")
    assert clause.items == ("AC-02", "AC-03", "DB-02")
    assert standards.coverage(clause, set()).status == "planned"
    some = standards.coverage(clause, {"AC-02"})
    assert (some.status, some.served, some.unserved) == ("partly_automated", ("AC-02",), ("AC-03", "DB-02"))
    # All are served, but people are left a part of AC-02 and DB-02.
    assert standards.coverage(clause, {"AC-02", "AC-03", "DB-02"}).status == "partly_automated"
    whole = next(
        clause
        for clause in standards.clauses.values()
        if clause.status == "planned"
        and clause.items
        and all(standards.items[name].by_machine and not standards.items[name].remainder for name in clause.items)
    )
    assert standards.coverage(whole, set(whole.items)).status == "automated"


def test_every_item_that_controls_serve_says_what_they_leave_to_people(standards: Standards) -> None:
    served = {control.item for control in load_controls(root() / "roles").values()}
    assert served
    unsaid = sorted(name for name in served if "remainder" not in standards.items[name].model_fields_set)
    assert not unsaid, (
        f"say `remainder` in standards/items.yml, null where the controls judge the whole item: {unsaid}"
    )


def test_a_manual_clause_stays_manual_whatever_is_served(standards: Standards) -> None:
    manual = [clause for clause in standards.clauses.values() if clause.status == "manual"]
    assert manual
    for clause in manual:
        assert standards.coverage(clause, set(standards.items)).status == "manual"


def test_documents_do_not_count_as_machine_checkable(standards: Standards) -> None:
    clause = standards.clause("8.1.4.3 c)")
    assert "DC-06" in clause.items
    assert "DC-06" not in standards.coverage(clause, set()).unserved


def test_level_3_only_items_say_how_they_stand_at_level_2(standards: Standards) -> None:
    standing = {name: item.level2.standing for name, item in standards.items.items()}
    assert {name for name, value in standing.items() if value == "not_applicable"} == {"AC-08", "LG-04"}
    assert {name for name, value in standing.items() if value == "by_rule"} == {"NW-05", "NW-07", "TL-06", "DC-12"}
    for name, item in standards.items.items():
        counterparts = [
            standards.clauses[clause].level2 for clause in item.clauses if clause.startswith("GB/T 22239")
        ]
        assert (standing[name] == "applicable") == any(counterparts), name


def test_what_was_not_seen_is_marked(standards: Standards) -> None:
    assert {clause.seen for clause in standards.registers["iseaa_001_2020"].clauses} == {"memory"}
    assert standards.clause("8.1.4.5").seen == "text"
    assert standards.clause("8.1.10.6 i)").seen == "number_from_memory"
    assert standards.clause("L3-ABS1-02").seen == "number_from_memory"


def test_loading_takes_well_under_a_second() -> None:
    started = time.process_time()
    load_standards(SHIPPED)
    assert time.process_time() - started < 0.8


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


Damage = Callable[[Path], None]


def without_entries(root: Path) -> None:
    (root / "requirements.yml").write_text("sources: {}\nrequirements: []\n", encoding="utf-8")


DAMAGES: dict[str, tuple[Damage, str]] = {
    "an unknown key": (
        lambda root: change(
            root / "items.yml", "    family: accounts\n", "    family: accounts\n    familly: x\n"
        ),
        r"items\.yml:\d+ \(AC-01\): familly: Extra inputs are not permitted, got 'x'",
    ),
    "a severity that does not exist": (
        lambda root: change(root / "items.yml", "    severity: high\n", "    severity: huge\n"),
        r"items\.yml:\d+ \(NW-01\): severity: Input should be 'critical', 'high', 'medium' or 'low', got 'huge'",
    ),
    "an empty translation": (
        lambda root: change(root / "items.yml", "zh: 关闭非必要端口、服务与默认共享", "zh: ' '"),
        r"items\.yml:\d+ \(NW-01\): title: .*both zh and en must be written",
    ),
    "an item id written twice": (
        lambda root: change(root / "items.yml", "- id: NW-02\n", "- id: NW-01\n"),
        r"items\.yml:\d+ \(NW-01\): the id NW-01 is written twice",
    ),
    "a clause id written twice": (
        lambda root: change(
            root / "clauses/data_security_law.yml", "数据安全法 第二十九条", "数据安全法 第二十七条"
        ),
        r"data_security_law\.yml:\d+ \(数据安全法 第二十七条\): the id 数据安全法 第二十七条 is written twice",
    ),
    "a requirement id written twice": (
        lambda root: change(root / "requirements.yml", "- id: S0-02\n", "- id: S0-01\n"),
        r"requirements\.yml:\d+ \(S0-01\): the id S0-01 is written twice",
    ),
    "a prefix used by two registers": (
        lambda root: change(
            root / "clauses/gbt_20988_2007.yml", "prefix: GB/T 20988-2007\n", "prefix: GB/T 28448-2019\n"
        ),
        r"gbt_20988_2007\.yml:\d+ .*must start with the register's prefix",
    ),
    "a clause that does not exist": (
        lambda root: change(root / "items.yml", "- GB/T 22239-2019 8.1.3.2 a)", "- GB/T 22239-2019 8.1.3.2 z)"),
        r"items\.yml:\d+ \(NW-01\): clauses: 'GB/T 22239-2019 8\.1\.3\.2 z\)' does not exist; accepted: GB/T 22239-2019",
    ),
    "a source that does not exist": (
        lambda root: change(root / "items.yml", "sources: [S0-09, ", "sources: [S0-999, "),
        r"items\.yml:\d+ \(NW-01\): sources: 'S0-999' does not exist",
    ),
    "an item that does not exist": (
        lambda root: change(root / "clauses/data_security_law.yml", "items: [NW-12, ", "items: [NW-77, NW-12, "),
        r"data_security_law\.yml:\d+ \(数据安全法 第二十七条\): items: 'NW-77' does not exist",
    ),
    "a reference that is not returned": (
        lambda root: change(root / "clauses/data_security_law.yml", "items: [NW-12, ", "items: [NW-11, NW-12, "),
        r"数据安全法 第二十七条 names NW-11, which does not name it back",
    ),
    "an item's clause that does not name it": (
        lambda root: change(root / "clauses/data_security_law.yml", "items: [NW-12, ", "items: ["),
        r"items\.yml:\d+ \(NW-12\): NW-12 names 数据安全法 第二十七条, which does not name it back",
    ),
    "a requirement that is not returned": (
        lambda root: change(root / "requirements.yml", "items: [DC-02]", "items: [DC-02, DC-03]"),
        r"requirements\.yml:\d+ \(S0-01\): S0-01 names DC-03, which does not name it back",
    ),
    "a status that only the catalogue computes": (
        lambda root: change(root / "clauses/data_security_law.yml", "status: planned", "status: automated"),
        r"status: Input should be 'manual' or 'planned', got 'automated'",
    ),
    "a planned clause that no machine can check": (
        lambda root: change(root / "clauses/incident_reporting_2025.yml", "status: manual", "status: planned"),
        r"status: no item of the clause can be checked by machine; accepted: manual",
    ),
    "a unit of a clause that does not exist": (
        lambda root: change(
            root / "clauses/gbt_28448_2019.yml", "assesses: GB/T 22239-2019 8.1.3.1 a)", "assesses: nothing"
        ),
        r"assesses: 'nothing' does not exist",
    ),
    "a level-3-only item without a reason": (
        lambda root: change(root / "items.yml", "standing: applicable\n", "standing: not_applicable\n"),
        r"\(NW-01\): level2: .*needs a note that says why",
    ),
    "a family that does not exist": (
        lambda root: change(root / "items.yml", "    family: accounts\n", "    family: acounts\n"),
        r"items\.yml:\d+ \(AC-01\): families: 'acounts' does not exist; accepted: accounts",
    ),
    "a key written twice": (
        lambda root: change(root / "items.yml", "    severity: high\n", "    severity: high\n    severity: low\n"),
        r"items\.yml: is not valid YAML: .*'severity' is written twice",
    ),
    "a top-level key that is missing": (
        lambda root: change(root / "items.yml", "severities:\n", "severity_names:\n"),
        r"items\.yml:1: missing or unknown key: severities, severity_names",
    ),
    "no entries at all": (
        without_entries,
        r"requirements\.yml:2: requirements must be a list with entries",
    ),
    "a file that is missing": (
        lambda root: (root / "items.yml").unlink(),
        r"items\.yml: no such file",
    ),
    "no register at all": (
        lambda root: shutil.rmtree(root / "clauses"),
        r"clauses: no register of clauses found",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_standards_are_refused_by_file_line_and_entry(copy: Path, damage: str) -> None:
    do, message = DAMAGES[damage]
    do(copy)
    with pytest.raises(UsageError, match=message) as error:
        load_standards(copy)
    assert str(copy) in str(error.value)
    assert re.search("[\u4e00-\u9fff]", error.value.in_language("zh"))
