"""What a restore drill leaves: a folder for the inspector, and a line in the database host's own chain of drills."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from medsec.drills.checks import Check
from medsec.errors import MedsecError, ProbeError
from medsec.evidence.encoding import record_json
from medsec.evidence.findings import CommandRecord
from medsec.judge.recording import ConnectedHost
from medsec.text import Language, Text, says

SCHEMA = "medsec.drill/1"
RECORD, SUMS = "record.json", "SHA256SUMS"
# Where a database host keeps the chain of its own drills.
KEPT = "/var/lib/medsec/drills"


class Outcome(StrEnum):
    """What a drill says: the backup is proved, it is not, or nothing can be said."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_MADE = "not_made"


OUTCOMES = {
    Outcome.PASSED: says(en="passed: the backup can be restored", zh="通过：备份可恢复"),
    Outcome.FAILED: says(
        en="failed: this backup cannot be relied on; back up anew, find the cause, drill again",
        zh="未通过：该备份不可依赖；请查明原因、重新备份后再次演练",
    ),
    Outcome.NOT_MADE: says(en="not made: nothing can be said of the backup", zh="未完成：无法对备份作出结论"),
}
STEPS = {
    "copy": says(en="bring the backup to the target", zh="传送备份至演练主机"),
    "digest": says(en="compare its digests", zh="核对校验值"),
    "start": says(en="start a scratch server", zh="启动隔离的临时实例"),
    "restore": says(en="restore", zh="恢复数据"),
    "compare": says(en="compare rows and contents", zh="比对行数与内容"),
    "integrity": says(en="run integrity tools", zh="运行完整性工具"),
}


@dataclass(frozen=True)
class Step:
    """A step on the host, by the host's clock."""

    id: str
    started: datetime
    seconds: float


@dataclass(frozen=True)
class Drill:
    """One restore drill from its begin to its end."""

    id: str
    host: str
    machine: str
    target: str
    product: str
    # The way of backing up that was drilled, as `--system` names it.
    system: str
    operator: str
    controller: str
    institution: Text
    started: datetime
    finished: datetime
    backup: str
    backup_sha256: str
    targets: dict[str, int]
    checks: list[Check]
    steps: list[Step] = field(default_factory=list)
    # What stopped it, where something did; and whether that is the backup's fault.
    problem: Text | None = None
    at_fault: bool = False
    rpo: float | None = None
    rto: float | None = None
    tables: int = 0
    rows: int = 0
    said: str = ""
    evidence: list[CommandRecord] = field(default_factory=list)

    @property
    def outcome(self) -> Outcome:
        if any(not check.passed for check in self.checks) or (self.problem is not None and self.at_fault):
            return Outcome.FAILED
        return Outcome.NOT_MADE if self.problem is not None or not self.checks else Outcome.PASSED

    def reasons(self) -> list[Text]:
        """Return why it did not pass."""
        found = [check.text for check in self.checks if not check.passed]
        return [*found, self.problem] if self.problem is not None else found

    def value(self) -> dict[str, Any]:
        """Return the record as JSON holds it."""
        return {
            "schema": SCHEMA,
            "id": self.id,
            "institution": _both(self.institution),
            "host": self.host,
            "machine": self.machine,
            "target": self.target,
            "product": self.product,
            "system": self.system,
            "operator": self.operator,
            "controller": self.controller,
            "started": self.started.isoformat(),
            "finished": self.finished.isoformat(),
            "backup": self.backup,
            "backup_sha256": self.backup_sha256,
            "targets": self.targets,
            "rpo_seconds": self.rpo,
            "rto_seconds": self.rto,
            "tables": self.tables,
            "rows": self.rows,
            "steps": [
                {"id": step.id, "started": step.started.isoformat(), "seconds": round(step.seconds, 3)}
                for step in self.steps
            ],
            "checks": [
                {"id": check.id, "passed": check.passed, "text": _both(check.text)} for check in self.checks
            ],
            "problem": _both(self.problem) if self.problem is not None else None,
            "outcome": self.outcome.value,
        }


def _both(text: Text) -> dict[str, str]:
    return {"zh": text.zh, "en": text.en}


def rendered(drill: Drill, language: Language) -> str:
    """Return the record as a person reads it."""

    def say(en: str, zh: str) -> str:
        return zh if language == "zh" else en

    def seconds(value: float | None) -> str:
        return say("unknown", "未知") if value is None else say(f"{value:.0f} s", f"{value:.0f} 秒")

    colon = say(": ", "：")
    rows = [
        (say("Institution", "机构"), drill.institution.in_language(language)),
        (say("Drill", "演练编号"), drill.id),
        (say("Operator", "操作人"), f"{drill.operator} @ {drill.controller}"),
        (say("Witness (sign)", "见证人（签字）"), "____________"),
        (say("Database server", "数据库服务器"), f"{drill.host} ({drill.product})"),
        (say("Restored on", "恢复环境"), say(f"{drill.target}, scratch server without a network", f"{drill.target}，无网络的临时实例")),
        (say("Backup", "备份编号"), drill.backup),
        (say("Digest of the backup (SHA-256)", "备份校验值（SHA-256）"), drill.backup_sha256 or "-"),
        (say("Started", "开始时间"), _local(drill.started)),
        (say("Finished", "结束时间"), _local(drill.finished)),
        (say("Recovery point", "数据时点差（RPO）"), say("{} (target {})", "{}（目标 {}）").format(seconds(drill.rpo), seconds(drill.targets["rpo"]))),
        (say("Recovery time", "恢复用时（RTO）"), say("{} (target {})", "{}（目标 {}）").format(seconds(drill.rto), seconds(drill.targets["rto"]))),
        (say("Tables, rows", "表数、行数"), f"{drill.tables}, {drill.rows}"),
    ]  # fmt: skip
    lines = [say("Record of a restore drill", "备份恢复演练记录"), ""]
    lines += [f"{name}{colon}{value}" for name, value in rows]
    lines += ["", say("Steps", "演练步骤")]
    for step in drill.steps:
        name = STEPS[step.id].in_language(language) if step.id in STEPS else step.id
        lines.append(f"  {_local(step.started)}  {step.seconds:7.1f} s  {name}")
    lines += ["", say("Results", "核对结果")]
    for check in drill.checks:
        lines.append(
            f"  [{say('ok', '符合') if check.passed else say('NOT', '不符')}] {check.text.in_language(language)}"
        )
    if drill.problem is not None:
        lines.append(f"  [{say('NOT', '不符')}] {drill.problem.in_language(language)}")
    lines += ["", say("Conclusion", "结论") + colon + OUTCOMES[drill.outcome].in_language(language), ""]
    return "\n".join(lines)


def _local(time: datetime) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def write(drill: Drill, site: Path) -> Path:
    """Write the drill's folder, `site/drills/<id>`, whole or not at all, and return it.

    record.json, record.zh.txt, record.en.txt, evidence.json (the commands and what the host said), and SHA256SUMS over them.
    """
    home = site / "drills"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    half = home / f".{drill.id}.new"
    half.mkdir(mode=0o700)
    evidence = {"commands": [record_json(record) for record in drill.evidence], "said": drill.said}
    files = {
        RECORD: _json(drill.value()),
        "record.zh.txt": rendered(drill, "zh"),
        "record.en.txt": rendered(drill, "en"),
        "evidence.json": _json(evidence),
    }
    sums = "".join(f"{_digest(text)}  {name}\n" for name, text in files.items())
    for name, text in {**files, SUMS: sums}.items():
        with os.fdopen(
            os.open(half / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8"
        ) as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
    return half.rename(home / drill.id)


def load(folder: Path) -> dict[str, Any]:
    """Return the record in `folder`. Raises MedsecError when a file is not what the drill wrote."""
    sums = (folder / SUMS).read_text(encoding="utf-8") if (folder / SUMS).is_file() else ""
    for digest, _, name in (line.partition("  ") for line in sums.splitlines()):
        data = (folder / name).read_bytes() if (folder / name).is_file() else b""
        if hashlib.sha256(data).hexdigest() != digest:
            sums = ""
    if f"  {RECORD}\n" not in sums:
        raise MedsecError(
            says(
                en=f"{folder}: is no drill's folder, or was changed after the drill; make the drill again",
                zh=f"{folder}：不是演练记录目录，或在演练之后被改动；请重新演练",
            )
        )
    value = json.loads((folder / RECORD).read_bytes())
    return dict(value)


_KEEP = r"""
umask 077
mkdir -p -- "$1" && cd -- "$1" || exit 1
exec 9> .lock && flock 9
last=$(find . -maxdepth 1 -name '[0-9]*.json' -printf '%P\n' | sort | tail -n 1)
previous=none number=1
if [ -n "$last" ]; then
  previous=$(sha256sum < "$last" | cut -d' ' -f1)
  number=$((1${last%%-*} - 999999))
fi
name=$(printf '%06d' "$number")-$2.json
printf '{"previous": "%s", %s\n' "$previous" "${3#?}" > ".$name.new" && sync ".$name.new" && mv ".$name.new" "$name"
"""


def keep(drill: Drill, folder: Path, host: ConnectedHost) -> None:
    """Add the drill to the host's chain: each record holds the digest of the one before, and of the whole record here.

    Raises ProbeError where the host cannot keep it.
    """
    names = (
        "schema",
        "id",
        "host",
        "machine",
        "target",
        "product",
        "system",
        "operator",
        "started",
        "finished",
        "backup",
    )
    whole = drill.value()
    value = {
        name: whole[name]
        for name in (*names, "backup_sha256", "rpo_seconds", "rto_seconds", "tables", "rows", "outcome")
    }
    value["record_sha256"] = hashlib.sha256((folder / RECORD).read_bytes()).hexdigest()
    text = json.dumps(value, ensure_ascii=True, sort_keys=True)
    answer = host.run(shlex.join(["sh", "-c", _KEEP, "sh", f"{KEPT}/{drill.product}", drill.id, text]), once=True)
    if answer.rc != 0:
        raise ProbeError(
            says(
                en=f"host {drill.host} cannot keep the record of the drill in {KEPT}: {answer.stderr.strip()}",
                zh=f"主机 {drill.host} 无法在 {KEPT} 保存演练记录：{answer.stderr.strip()}",
            )
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def at(seconds: float) -> datetime:
    """Return the time `seconds` after 1970."""
    return datetime.fromtimestamp(seconds, UTC)
