"""A plan kept in a file: what was approved, to be applied later just so, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationError

from medsec.catalogue.source import Strict
from medsec.engines.base import EngineName, Status
from medsec.engines.foreseen import Foreseen
from medsec.errors import UsageError
from medsec.text import says

SCHEMA: Final = "medsec.plan/1"


class PlannedStep(Strict):
    """One task that was foreseen for `hosts`, with its difference; secrets are left out of it."""

    control: str
    task: str
    status: Status
    diff: str | None
    message: str | None
    hosts: list[str]


class PlanFile(Strict):
    """What `medsec plan -o FILE` writes and `medsec apply FILE` holds the hosts against."""

    schema_: Literal["medsec.plan/1"] = Field(SCHEMA, alias="schema")
    made: datetime
    catalogue: str
    engine: EngineName
    every: bool
    hosts: list[str]
    controls: list[str]
    steps: list[PlannedStep]


def plan_file(
    foreseen: Foreseen,
    *,
    engine: EngineName,
    every: bool,
    hosts: Sequence[str],
    controls: Sequence[str],
    catalogue: str,
) -> PlanFile:
    """Return `foreseen` as it is kept; `catalogue` is the digest of the catalogue that it was made with."""
    return PlanFile(
        schema=SCHEMA,
        made=datetime.now(UTC),
        catalogue=catalogue,
        engine=engine,
        every=every,
        hosts=list(hosts),
        controls=list(controls),
        steps=[
            PlannedStep(
                control=plan.control.id,
                task=step.task,
                status=step.status,
                diff=step.diff,
                message=step.message,
                hosts=sorted(step.hosts),
            )
            for plan in foreseen.controls
            for step in plan.steps
        ],
    )


def write_plan(path: Path, plan: PlanFile) -> None:
    """Write `plan` whole or not at all, for its owner's eyes. Raises UsageError where the file cannot be written."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        handle = os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(plan.model_dump_json(by_alias=True, indent=1) + "\n")
            stream.flush()
            os.fsync(handle)
        temporary.replace(path)
    except OSError as error:
        raise UsageError(
            says(
                en=f"{path}: cannot be written: {error.strerror}; name another file or make room",
                zh=f"{path}：无法写入：{error.strerror}；请换一个文件或腾出空间",
            )
        ) from error


def read_plan(path: Path) -> PlanFile:
    """Return the plan in `path`. Raises UsageError where it is none."""
    try:
        return PlanFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise _none(path, error.strerror or str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise _none(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _none(path: Path, reason: str) -> UsageError:
    return UsageError(
        says(
            en=f"{path}: is no plan ({reason}); `medsec plan -o {path}` makes one",
            zh=f"{path}：不是整改计划（{reason}）；可用 `medsec plan -o {path}` 生成",
        )
    )


def drift(approved: PlanFile, now: PlanFile) -> list[str]:
    """Return what is foreseen now and was not when the plan was approved (`+`), and the other way round (`-`)."""
    lines = [
        *(f"- {line}" for line in _missing(approved, now)),
        *(f"+ {line}" for line in _missing(now, approved)),
    ]
    if approved.catalogue != now.catalogue:
        lines.append(f"~ catalogue {approved.catalogue[:12]} -> {now.catalogue[:12]}")
    return lines


def _missing(one: PlanFile, other: PlanFile) -> Iterator[str]:
    there = {
        (step.control, step.task, step.status, step.diff, step.message, host)
        for step in other.steps
        for host in step.hosts
    }
    for step in one.steps:
        hosts = [
            host
            for host in step.hosts
            if (step.control, step.task, step.status, step.diff, step.message, host) not in there
        ]
        if hosts:
            head = f"{', '.join(hosts)}: {step.control}: {step.task}"
            yield "\n".join([head, *(f"    {line}" for line in (step.diff or "").splitlines())])
