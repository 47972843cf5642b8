"""What a drill must find for the backup to count as proved: each question with its answer, in both languages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from medsec.drills.backup_set import BackupSet
from medsec.drills.engines import Engine
from medsec.text import Text, says

# How far the clocks of two hosts may differ, in seconds.
_SKEW = 300


@dataclass(frozen=True)
class Check:
    """One question of a drill: what was asked, whether the backup stood it, and what was seen."""

    id: str
    passed: bool
    text: Text


@dataclass(frozen=True)
class Targets:
    """What the institution demands: seconds of data that may be lost, seconds until it is back, rows at least."""

    rpo: int
    rto: int
    least_rows: int


@dataclass(frozen=True)
class Restored:
    """What came out of the restored backup: tables by dump, and the canary by cluster (None: not there)."""

    tables: dict[str, dict[str, tuple[int, str]]]
    canaries: dict[str, dict[str, Any] | None]
    sound: frozenset[str]


def before(found: BackupSet, engine: Engine, live: dict[str, str]) -> Iterator[Check]:
    """Yield what can be told of the backup before it is restored."""
    yield _protected(found)
    yield _manifests(found, engine)
    yield _digests(found, engine)
    yield _identity(found, live)


def after(found: BackupSet, engine: Engine, restored: Restored, targets: Targets, now: float) -> Iterator[Check]:
    """Yield what the restored server says. `now` is when the drill began, in seconds since 1970."""
    yield _tables(found, engine, restored)
    yield _rows(restored, engine, targets, found)
    yield from _canary(found, restored, targets, now)
    clusters = set(restored.canaries)
    yield Check(
        "integrity",
        bool(clusters) and clusters == restored.sound,
        says(
            en=f"integrity tools: {len(restored.sound)} of {len(clusters)} servers are sound",
            zh=f"完整性工具检查：{len(clusters)} 个实例中 {len(restored.sound)} 个无异常",
        ),
    )


def duration(seconds: float, targets: Targets) -> Check:
    """Return whether the data was back in time."""
    return Check(
        "rto",
        seconds <= targets.rto,
        says(
            en=f"the data was back after {seconds:.1f} s; target {targets.rto} s",
            zh=f"恢复用时 {seconds:.1f} 秒；恢复时间目标 {targets.rto} 秒",
        ),
    )


def _protected(found: BackupSet) -> Check:
    wrong = [
        path
        for path, entry in found.entries.items()
        if entry.owner != 0 or int(entry.mode, 8) & 0o077 or entry.kind not in "fd"
    ]
    return Check(
        "protected",
        not wrong,
        says(en="root alone may read and write the backup", zh="备份仅 root 可读写")
        if not wrong
        else says(
            en=f"others than root may reach the backup, or it is no plain file: {', '.join(wrong[:5])}",
            zh=f"备份可被 root 以外的账户访问，或并非普通文件：{'、'.join(wrong[:5])}",
        ),
    )


def _manifests(found: BackupSet, engine: Engine) -> Check:
    dumps = found.dumps(engine)
    missing = [dump for dump in dumps if dump not in found.manifests]
    broken = [
        dump
        for dump in dumps
        if dump in found.manifests and (found.manifests[dump].problem or found.manifests[dump].sha256 is None)
    ]
    if not dumps:
        text = says(en="the backup holds no dump", zh="备份中没有任何转储文件")
    elif missing:
        text = says(
            en=f"the backup has no manifest: {', '.join(missing[:5])}; back up anew",
            zh=f"备份没有清单文件：{'、'.join(missing[:5])}；请重新备份",
        )
    elif broken:
        text = says(
            en=f"a manifest cannot be read or was cut short: {', '.join(broken[:5])}",
            zh=f"清单文件无法读取或不完整：{'、'.join(broken[:5])}",
        )
    else:
        text = says(en=f"{len(dumps)} dumps, each with its manifest", zh=f"共 {len(dumps)} 个转储文件，均有清单")
    return Check("manifest", bool(dumps) and not missing and not broken, text)


def _digests(found: BackupSet, engine: Engine) -> Check:
    """The chain record.json → SHA256SUMS → files, and each manifest's own word on its dump; the host compares the bytes."""
    files = {path for path, entry in found.entries.items() if entry.kind == "f"} - {"record.json", "SHA256SUMS"}
    wrong = sorted(files ^ set(found.sums))
    wrong += [
        dump
        for dump in found.dumps(engine)
        if dump in found.manifests and found.manifests[dump].sha256 != found.sums.get(dump)
    ]
    if found.record.get("sha256sums") != found.sums_sha256:
        wrong.append("SHA256SUMS")
    return Check(
        "digests",
        not wrong,
        says(en="the lists of digests fit together", zh="校验值清单前后一致")
        if not wrong
        else says(
            en=f"the backup was changed after it was made: {', '.join(wrong[:5])}",
            zh=f"备份生成后被改动：{'、'.join(wrong[:5])}",
        ),
    )


def _identity(found: BackupSet, live: dict[str, str]) -> Check:
    heads = {dump: manifest.head for dump, manifest in found.manifests.items()}
    strange = [
        f"{dump} ({head.get('host')})"
        for dump, head in heads.items()
        if live.get(str(head.get("cluster"))) != head.get("system")
    ]
    canaries = {(head.get("cluster"), head.get("canary")) for head in heads.values()}
    mixed = len(canaries) != len({cluster for cluster, _ in canaries})
    if strange:
        text = says(
            en=f"the backup is another system's: {', '.join(strange[:5])}",
            zh=f"备份属于其他系统：{'、'.join(strange[:5])}",
        )
    elif mixed:
        text = says(en="the dumps are of different runs", zh="转储文件来自不同批次的备份")
    else:
        text = says(en="the backup is this system's", zh="备份确属本系统")
    return Check("identity", bool(heads) and not strange and not mixed, text)


def _tables(found: BackupSet, engine: Engine, restored: Restored) -> Check:
    wrong_en, wrong_zh = [], []
    count = 0
    for dump in found.dumps(engine):
        was, now = found.manifests[dump].tables, restored.tables.get(dump, {})
        count += len(was)
        for table in sorted(was.keys() | now.keys()):
            if was.get(table) == now.get(table):
                continue
            name = f"{dump.removesuffix(engine.suffix)}: {table}"
            if table not in now:
                wrong_en.append(f"{name} is missing")
                wrong_zh.append(f"{name} 缺失")
            elif table not in was:
                wrong_en.append(f"{name} is not in the manifest")
                wrong_zh.append(f"{name} 不在清单中")
            elif was[table][0] != now[table][0]:
                wrong_en.append(f"{name} has {now[table][0]} rows, not {was[table][0]}")
                wrong_zh.append(f"{name} 为 {now[table][0]} 行，应为 {was[table][0]} 行")
            else:
                wrong_en.append(f"{name} has other contents")
                wrong_zh.append(f"{name} 内容不一致")
    return Check(
        "tables",
        count > 0 and not wrong_en,
        says(
            en=f"{count} tables have the manifest's rows and contents",
            zh=f"{count} 张表的行数与内容均与清单一致",
        )
        if not wrong_en
        else says(
            en=f"the restored data differs from the manifest: {'; '.join(wrong_en[:5])}",
            zh=f"恢复的数据与清单不符：{'；'.join(wrong_zh[:5])}",
        ),
    )


def _rows(restored: Restored, engine: Engine, targets: Targets, found: BackupSet) -> Check:
    rows = sum(
        count
        for dump, tables in restored.tables.items()
        if dump in found.manifests and found.manifests[dump].head.get("database") not in engine.own
        for count, _ in tables.values()
    )
    return Check(
        "rows",
        rows >= targets.least_rows,
        says(
            en=f"{rows} rows of the institution's own; at least {targets.least_rows} are wanted",
            zh=f"业务数据共 {rows} 行；下限 {targets.least_rows} 行",
        ),
    )


def _canary(found: BackupSet, restored: Restored, targets: Targets, now: float) -> Iterator[Check]:
    missing = [cluster for cluster, canary in restored.canaries.items() if not canary]
    yield Check(
        "canary",
        bool(restored.canaries) and not missing,
        says(en="the canary row is there", zh="金丝雀记录存在")
        if restored.canaries and not missing
        else says(
            en=f"the canary row is missing: {', '.join(missing) or 'no server'}; how old the data is cannot be told",
            zh=f"缺少金丝雀记录：{'、'.join(missing) or '无实例'}；无法确定数据时点",
        ),
    )
    there = [canary for canary in restored.canaries.values() if canary]
    if not there:
        return
    values = {manifest.head.get("canary") for manifest in found.manifests.values()}
    strange = [canary for canary in there if canary.get("value") not in values]
    age = recovery_point(restored, now)
    if strange or age is None:
        text = says(en="the canary is of another run than the manifests", zh="金丝雀记录与清单并非同一批次")
    else:
        text = says(
            en=f"the data is {age / 3600:.1f} hours old; target {targets.rpo / 3600:.1f} hours",
            zh=f"数据时点距演练 {age / 3600:.1f} 小时；恢复点目标 {targets.rpo / 3600:.1f} 小时",
        )
    yield Check("rpo", not strange and age is not None and -_SKEW <= age <= targets.rpo, text)


def recovery_point(restored: Restored, now: float) -> float | None:
    """Return how old the restored data is, in seconds: what would be lost."""
    try:
        renewed = [float(canary["renewed"]) for canary in restored.canaries.values() if canary]
    except (KeyError, TypeError, ValueError):
        return None
    return now - min(renewed) if renewed else None
