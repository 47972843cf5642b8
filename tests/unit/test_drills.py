"""What a drill concludes from what was seen, and what its record says; without a host."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest

from medsec.drills import checks
from medsec.drills.backup_set import BackupSet, Entry, Manifest, manifest
from medsec.drills.checks import Check, Restored, Targets
from medsec.drills.engines import ENGINES
from medsec.drills.record import Drill, Outcome, load, rendered, write
from medsec.drills.scratch import Line, Scratch
from medsec.errors import MedsecError
from medsec.text import says

MARIADB = ENGINES["mariadb"]
TARGETS = Targets(rpo=3600, rto=60, least_rows=1)
HEAD = {
    "schema": "medsec.manifest/1",
    "database": "his",
    "cluster": 3306,
    "system": "s-1",
    "canary": "c-1",
    "host": "his-db",
}
GOOD = BackupSet(
    folder="/var/backups/medsec/mariadb/20260101T000000Z",
    entries={
        "..": Entry("d", "700", 0, 0),
        "his.sql.gz": Entry("f", "600", 0, 10),
        "his.sql.gz.manifest": Entry("f", "600", 0, 10),
        "SHA256SUMS": Entry("f", "600", 0, 10),
        "record.json": Entry("f", "600", 0, 10),
    },
    record={"sha256sums": "9"},
    sums={"his.sql.gz": "1", "his.sql.gz.manifest": "2"},
    sums_sha256="9",
    manifests={"his.sql.gz": Manifest(HEAD, {"patient": (2, "7")}, "1")},
)
LIVE = {"3306": "s-1"}
RESTORED = Restored(
    {"his.sql.gz": {"patient": (2, "7")}}, {"mariadb": {"value": "c-1", "renewed": 1000}}, frozenset({"mariadb"})
)


def red(questions: list[Check]) -> set[str]:
    return {check.id for check in questions if not check.passed}


def test_a_good_backup_stands_every_question() -> None:
    live = {str(cluster): system for cluster, system in LIVE.items()}
    heads = dataclasses.replace(GOOD, manifests={"his.sql.gz": dataclasses.replace(GOOD.manifests["his.sql.gz"])})
    assert red(list(checks.before(heads, MARIADB, live))) == set()
    assert red(list(checks.after(GOOD, MARIADB, RESTORED, TARGETS, 2000))) == set()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"entries": {**GOOD.entries, "x": Entry("f", "600", 0, 1)}}, {"digests"}),
        ({"entries": {**GOOD.entries, "..": Entry("d", "750", 0, 0)}}, {"protected"}),
        ({"entries": {**GOOD.entries, "his.sql.gz": Entry("l", "600", 0, 0)}}, {"protected", "digests"}),
        ({"record": {}}, {"digests"}),
        ({"manifests": {}}, {"manifest", "identity"}),
        ({"manifests": {"his.sql.gz": Manifest(HEAD, {}, None)}}, {"manifest", "digests"}),
        ({"manifests": {"his.sql.gz": Manifest({**HEAD, "system": "s-2"}, {}, "1")}}, {"identity"}),
    ],
)
def test_a_spoilt_backup_is_told_before_it_is_restored(change: dict[str, object], expected: set[str]) -> None:
    assert red(list(checks.before(dataclasses.replace(GOOD, **change), MARIADB, LIVE))) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"tables": {}}, {"tables", "rows"}),
        ({"tables": {"his.sql.gz": {"patient": (3, "7")}}}, {"tables"}),
        ({"tables": {"his.sql.gz": {"patient": (2, "8")}}}, {"tables"}),
        ({"tables": {"his.sql.gz": {"patient": (2, "7"), "more": (0, "0")}}}, {"tables"}),
        ({"canaries": {"mariadb": None}}, {"canary"}),
        ({"canaries": {}, "sound": frozenset()}, {"canary", "integrity"}),
        ({"canaries": {"mariadb": {"value": "c-0", "renewed": 1000}}}, {"rpo"}),
        ({"canaries": {"mariadb": {"value": "c-1", "renewed": -2000}}}, {"rpo"}),
        ({"canaries": {"mariadb": {"value": "c-1", "renewed": 9000}}}, {"rpo"}),
        ({"canaries": {"mariadb": {"value": "c-1"}}}, {"rpo"}),
        ({"sound": frozenset()}, {"integrity"}),
    ],
)
def test_a_wrong_restore_is_red(change: dict[str, object], expected: set[str]) -> None:
    restored = dataclasses.replace(RESTORED, **change)  # type: ignore[arg-type]
    assert red(list(checks.after(GOOD, MARIADB, restored, TARGETS, 2000))) == expected


def test_empty_equals_empty_is_no_proof() -> None:
    empty = Manifest(HEAD, {"patient": (0, "0")}, "1")
    found = dataclasses.replace(GOOD, manifests={"his.sql.gz": empty})
    restored = dataclasses.replace(RESTORED, tables={"his.sql.gz": {"patient": (0, "0")}})
    assert red(list(checks.after(found, MARIADB, restored, TARGETS, 2000))) == {"rows"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        '{"schema": "medsec.manifest/2"}\n',
        "[]\n",
        '{"schema": "medsec.manifest/1"}\n{"table": 1}\n',
    ],
)
def test_a_manifest_that_does_not_read_has_no_digest(text: str) -> None:
    assert manifest(text).sha256 is None


def test_a_host_that_falls_silent_has_not_drilled() -> None:
    lines = [Line(1, "step", "digest"), Line(2, "step", "start")]
    assert Scratch(lines, "killed").fault == ("ended", "killed")
    assert Scratch([*lines, Line(3, "fault", "room 3 MiB")]).fault == ("room", "3 MiB")
    assert Scratch([*lines, Line(3, "end", ".")]).fault is None


def test_comparing_does_not_count_as_time_to_recover() -> None:
    steps = [("digest", 1), ("start", 2), ("restore", 4)]
    lines = [Line(time, "step", name) for name, time in steps]
    lines += [
        Line(9, "restored", "m"),
        Line(9, "step", "compare"),
        Line(30, "step", "integrity"),
        Line(40, "end", "."),
    ]
    assert Scratch(lines).seconds_to_data() == 8


def drill(**change: object) -> Drill:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    check = Check("tables", True, says(en="1 table", zh="1 张表"))
    text = says(en="Clinic", zh="诊所")
    made = Drill(
        id="20260101T000000Z-aaaaaa", host="his-db", machine="m", target="backup", product="mariadb", system="mariadb", operator="zhang",
        controller="console", institution=text, started=now, finished=now, backup="/b", backup_sha256="9",
        targets={"rpo": 1, "rto": 1, "least_rows": 1}, checks=[check],
    )  # fmt: skip
    return dataclasses.replace(made, **change)  # type: ignore[arg-type]


def test_what_was_not_seen_is_never_passed() -> None:
    problem = says(en="no room", zh="空间不足")
    failed = Check("rto", False, says(en="late", zh="超时"))
    assert drill().outcome is Outcome.PASSED
    assert drill(checks=[]).outcome is Outcome.NOT_MADE
    assert drill(problem=problem).outcome is Outcome.NOT_MADE
    assert drill(problem=problem, at_fault=True).outcome is Outcome.FAILED
    assert drill(checks=[failed], problem=problem).outcome is Outcome.FAILED


def test_the_record_reads_in_both_languages_and_is_guarded(tmp_path: Path) -> None:
    folder = write(drill(), tmp_path)
    assert load(folder)["outcome"] == "passed"
    assert "通过：备份可恢复" in rendered(drill(), "zh")
    assert "passed: the backup can be restored" in rendered(drill(), "en")
    for name in ("record.zh.txt", "evidence.json", "SHA256SUMS"):
        kept = (folder / name).read_text(encoding="utf-8")
        (folder / name).write_text(kept.replace("9", "8").replace("a", "b"), encoding="utf-8")
        with pytest.raises(MedsecError, match="changed after the drill"):
            load(folder)
        (folder / name).write_text(kept, encoding="utf-8")
