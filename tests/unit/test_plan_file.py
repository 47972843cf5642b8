"""A plan in a file: what was approved, held against what is foreseen later."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from medsec.engines.base import Status
from medsec.engines.plan_file import PlanFile, PlannedStep, drift, read_plan, write_plan
from medsec.errors import UsageError


def step(*hosts: str, diff: str | None = "+PermitRootLogin no") -> PlannedStep:
    return PlannedStep(
        control="root_login_refused",
        task="Write",
        status=Status.CHANGED,
        diff=diff,
        message=None,
        hosts=list(hosts),
    )


def made(*steps: PlannedStep, catalogue: str = "a" * 64) -> PlanFile:
    return PlanFile(
        schema="medsec.plan/1",
        made=datetime.now(UTC),
        catalogue=catalogue,
        engine="ansible",
        every=False,
        hosts=["a", "b"],
        controls=["root_login_refused"],
        steps=list(steps),
    )


def test_it_reads_back_what_it_wrote_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    plan = made(step("a", "b"))
    write_plan(tmp_path / "plan.json", plan)
    assert read_plan(tmp_path / "plan.json") == plan
    assert (tmp_path / "plan.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_the_same_steps_are_no_drift_however_they_are_folded() -> None:
    assert drift(made(step("a", "b")), made(step("b"), step("a"))) == []


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ([step("a")], "- b: root_login_refused: Write"),
        ([step("a", "b", "c")], "+ c: root_login_refused: Write"),
        (
            [step("a", "b", diff="+PermitRootLogin yes")],
            "+ a, b: root_login_refused: Write\n    +PermitRootLogin yes",
        ),
        ([], "- a, b: root_login_refused: Write"),
    ],
)
def test_a_host_that_changed_meanwhile_is_told(now: list[PlannedStep], told: str) -> None:
    assert told in "\n".join(drift(made(step("a", "b")), made(*now)))


def test_another_catalogue_is_drift() -> None:
    assert drift(made(step("a")), made(step("a"), catalogue="b" * 64)) == [
        "~ catalogue aaaaaaaaaaaa -> bbbbbbbbbbbb"
    ]


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b'{"schema": "medsec.plan/2"}'])
def test_what_is_no_plan_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"x\.json: is no plan .* makes one"):
        read_plan(tmp_path / "x.json")


def test_a_full_disk_leaves_no_plan(tmp_path: Path) -> None:
    (tmp_path / ".plan.json.new").symlink_to("/dev/full")
    with pytest.raises(UsageError, match="No space left on device"):
        write_plan(tmp_path / "plan.json", made(step("a")))
    assert not (tmp_path / "plan.json").exists()
