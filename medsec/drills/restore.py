"""The restore drill: the newest backup of a database server, restored for real and compared with what it should hold."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from medsec.catalogue.controls import Controls
from medsec.drills import checks
from medsec.drills.backup_set import BackupSet, live_systems, newest
from medsec.drills.checks import Check, Targets
from medsec.drills.engines import ENGINES, Engine
from medsec.drills.record import Drill, Step, at, keep, write
from medsec.drills.scratch import Scratch, restore
from medsec.errors import UsageError
from medsec.evidence.plain import plain
from medsec.evidence.redaction import redacted
from medsec.evidence.store import new_run_id
from medsec.inventory import Host, Inventory, Params, effective
from medsec.judge.identity import identify
from medsec.judge.recording import ConnectedHost
from medsec.judge.ssh import SshTransport
from medsec.judge.transport import Limits
from medsec.judge.verifying import operator
from medsec.text import Text, says

BACKED_UP, DRILLED = "database_backed_up_daily", "restore_drill_recent"
# What a fault of the host's script means: whether it is the backup's, and how a person is told.
_FAULTS: dict[str, tuple[bool, Text]] = {
    "digest": (True, says(en="the files are not those that were backed up: {}", zh="文件与备份时不一致：{}")),
    "restore": (True, says(en="it cannot be restored: {}", zh="无法恢复：{}")),
    "compare": (True, says(en="what was restored cannot be read: {}", zh="恢复后的数据无法读取：{}")),
    "integrity": (True, says(en="integrity tools found damage: {}", zh="完整性工具发现损坏：{}")),
    "room": (False, says(en="the scratch disk has no room ({} free)", zh="演练目录所在磁盘空间不足（剩余 {}）")),
    "tools": (False, says(en="the target lacks {}; install it or use --on", zh="演练主机缺少 {}；请安装或用 --on 另选主机")),
    "start": (False, says(en="no scratch server could be started: {}", zh="无法启动临时实例：{}")),
    "copy": (False, says(en="the backup did not reach the target: {}", zh="备份未能传送到演练主机：{}")),
    "ended": (False, says(en="it was ended before it was through: {}", zh="演练被中止：{}")),
}  # fmt: skip


def products(inventory: Inventory, host: Host, system: str | None) -> list[Engine]:
    """Return what is to be drilled on `host`: `system`, or the dumps of everything that the ledger registers there.

    Raises UsageError where that is nothing, or nothing that can be restored here.
    """
    wanted = [system] if system else host.ledger.runs
    unknown = [name for name in wanted if name not in ENGINES or ENGINES[name].product not in host.ledger.runs]
    if unknown or not wanted:
        registered = ", ".join(host.ledger.runs) or "-"
        raise UsageError(
            says(
                en=f"host {host.name}: no drill for {', '.join(unknown) or 'it'}; the ledger registers {registered}, "
                f"drills exist for {', '.join(ENGINES)}",
                zh=f"主机 {host.name}：{'、'.join(unknown) or '该主机'} 无法演练；台账登记的产品为 {registered}，"
                f"支持演练的产品为 {'、'.join(ENGINES)}",
            )
        )
    return [ENGINES[name] for name in wanted]


def drill_restore(
    inventory: Inventory,
    controls: Controls,
    host: Host,
    engine: Engine,
    *,
    site: Path,
    on: Host | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> tuple[Drill, Path]:
    """Restore the newest backup of `engine.product` of `host`, and return the drill with its folder below `site`.

    + on: where to restore; the ledger's backup host where it has the tools, or else `host` itself, if None
    + on_step: called with each step's id as it begins

    Raises UsageError where the scratch folder is a live server's, ProbeError and HostUnreachable where the drill cannot
    be made. Nothing is left on any host but the record on `host`.
    """
    params = effective(controls[DRILLED], host, inventory.ledger)
    directory = effective(controls[BACKED_UP], host, inventory.ledger).directory
    base = _base(host, params)
    if on is not None and on.name != host.name and engine.tools is None:
        raise UsageError(
            says(
                en=f"host {host.name}: a {engine.name} repository is restored where it lies; leave out --on {on.name}",
                zh=f"主机 {host.name}：{engine.name} 的备份库只能就地恢复；请去掉 --on {on.name}",
            )
        )
    transport = SshTransport(Limits(command=120))
    connection = transport.connect(host)
    try:
        identity = identify(host, connection)
        started = datetime.now(UTC)
        name = new_run_id(started)
        target = on or _target(inventory, host, engine, transport)
        found = newest(connection, f"{directory}/{engine.name}", engine)
        questions: list[Check] = []
        scratch: Scratch | None = None
        if found is None:
            questions.append(_no_backup(f"{directory}/{engine.name}"))
        else:
            questions += checks.before(found, engine, live_systems(connection, engine))
        if found is not None and all(check.passed for check in questions):
            scratch = restore(
                target,
                f"medsec-drill-{name.lower()}",
                base,
                found.folder,
                engine,
                seconds=4 * params.rto_minutes * 60,
                source=host if target.name != host.name else None,
                on_step=on_step,
            )
        drill = _concluded(
            inventory,
            host,
            target,
            engine,
            params,
            identity.machine,
            name,
            started,
            found,
            questions,
            scratch,
            connection,
        )
        folder = write(drill, site)
        keep(drill, folder, connection)
    finally:
        connection.backend.close()
    return drill, folder


def _concluded(
    inventory: Inventory,
    host: Host,
    target: Host,
    engine: Engine,
    params: Params,
    machine: str,
    name: str,
    started: datetime,
    found: BackupSet | None,
    questions: list[Check],
    scratch: Scratch | None,
    connection: ConnectedHost,
) -> Drill:
    targets = Targets(rpo=params.rpo_minutes * 60, rto=params.rto_minutes * 60, least_rows=params.least_rows)
    problem, at_fault, rpo, rto, tables, rows = None, False, None, None, 0, 0
    if scratch is not None and found is not None:
        if scratch.fault is not None:
            code, words = scratch.fault
            at_fault, text = _FAULTS.get(code, _FAULTS["ended"])
            said = redacted(plain(words)) or "-"
            problem = says(en=text.en.format(said), zh=text.zh.format(said))
        else:
            restored = scratch.restored()
            rpo, rto = checks.recovery_point(restored, started.timestamp()), scratch.seconds_to_data()
            questions = [
                *questions,
                *checks.after(found, engine, restored, targets, started.timestamp()),
                checks.duration(rto, targets),
            ]
            held: Sequence[dict[str, tuple[int, str]]] = list(restored.tables.values())
            tables, rows = sum(map(len, held)), sum(count for one in held for count, _ in one.values())
        if not scratch.gone and problem is None:
            problem = says(
                en=f"the scratch server was not cleared away on {target.name}: look at {params.scratch}",
                zh=f"主机 {target.name} 上的临时实例未能清除：请检查 {params.scratch}",
            )
    ledger = inventory.ledger
    return Drill(
        id=name,
        host=host.name,
        machine=machine,
        target=target.name,
        product=engine.product,
        system=engine.name,
        operator=operator(),
        controller=socket.gethostname(),
        institution=says(en=ledger.institution.en, zh=ledger.institution.zh),
        started=started,
        finished=datetime.now(UTC),
        backup=found.folder if found is not None else "-",
        backup_sha256=found.sums_sha256 if found is not None else "",
        targets={"rpo": targets.rpo, "rto": targets.rto, "least_rows": targets.least_rows},
        checks=questions,
        steps=[Step(name, at(begin), seconds) for name, begin, seconds in scratch.steps()] if scratch else [],
        problem=problem,
        at_fault=at_fault,
        rpo=rpo,
        rto=rto,
        tables=tables,
        rows=rows,
        said="\n".join(f"{line.time:.3f}\t{line.kind}\t{line.text}" for line in scratch.lines) if scratch else "",
        evidence=list(connection.backend.records),
    )


def _base(host: Host, params: Params) -> str:
    if not re.fullmatch(r"(/[\w.-]+){2,}", params.scratch):
        raise UsageError(
            says(
                en=f"host {host.name}: restore_drill_recent_scratch must be an absolute path of letters, digits, "
                f"`.`, `_` and `-`, two folders deep at least; got {params.scratch!r}",
                zh=f"主机 {host.name}：restore_drill_recent_scratch 应为至少两级的绝对路径，仅含字母、数字、"
                f"`.`、`_`、`-`；实际为 {params.scratch!r}",
            )
        )
    return str(params.scratch)


def _target(inventory: Inventory, host: Host, engine: Engine, transport: SshTransport) -> Host:
    for other in inventory.hosts.values() if engine.tools is not None else ():
        if other.ledger.kind == "backup" and other.name != host.name:
            connection = transport.connect(other)
            try:
                if engine.tools and connection.run(engine.tools).rc == 0:
                    return other
            finally:
                connection.backend.close()
    return host


def _no_backup(home: str) -> Check:
    return Check(
        "backup",
        False,
        says(en=f"there is no backup in {home}", zh=f"{home} 中没有备份"),
    )
