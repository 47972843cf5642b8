"""Asks systemd when the backup runs and how it ended, the disk what it left, and the server what should be in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median
from typing import Any

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes.backups import Artefact, Held, Timer, artefacts, databases, timer
from medsec.text import Text, says

DAY = 86400
KNOWN = ("postgresql", "mariadb")
PROGRAM = "/usr/local/sbin/medsec-database-backup"


def check(host: Host, params: Params) -> None:
    registered = {job["product"]: job for job in params.jobs}
    unknown = sorted(set(params.products) - set(KNOWN) - set(registered))
    assert params.products, says(
        en="the ledger registers no database product (`runs`) on this database server",
        zh="台账未登记该数据库服务器运行的数据库产品（runs）",
    )
    assert not unknown, says(
        en=f"no backup is known for {', '.join(unknown)}; register the job in database_backed_up_daily_jobs",
        zh=f"没有 {'、'.join(unknown)} 的备份任务；请在 database_backed_up_daily_jobs 中登记",
    )
    problems = [
        says(en=f"{product}: {problem.en}", zh=f"{product}：{problem.zh}")
        for product in params.products
        for problem in _of_product(host, product, registered.get(product) or _own(product, params), params)
    ]
    assert not problems, says(en="; ".join(p.en for p in problems), zh="；".join(p.zh for p in problems))


def _own(product: str, params: Params) -> dict[str, Any]:
    """Return the job that the remedy installs."""
    depth = "*/*/*" if product == "postgresql" else "*/*"
    return {
        "timer": f"medsec-database-backup@{product}.timer",
        "artefacts": f"{params.directory}/{product}/2{depth}",
        "named": True,
    }


def _of_product(host: Host, product: str, job: dict[str, Any], params: Params) -> Iterator[Text]:
    schedule = timer(host, job["timer"])
    yield from _of_timer(schedule, params)
    files = artefacts(host, job["artefacts"], params.max_age_hours * 3600)
    yield from _of_files(files, schedule.now, params)
    if not job.get("named"):
        return
    if schedule.service_load == "loaded" and f"{PROGRAM} run {product} ;" not in schedule.service_runs:
        yield says(
            en=f"its timer starts {schedule.service}, which does not run {PROGRAM} run {product}",
            zh=f"其定时器启动的 {schedule.service} 未执行 {PROGRAM} run {product}",
        )
    if files:
        yield from _of_own_set(_newest_set(files), databases(host, product), product)


def _of_timer(schedule: Timer, params: Params) -> Iterator[Text]:
    name = schedule.name
    if schedule.load != "loaded":
        yield says(en=f"the timer {name} is {schedule.load}", zh=f"定时器 {name} 状态为 {schedule.load}")
        return
    if schedule.active != "active":
        yield says(en=f"the timer {name} is {schedule.active}", zh=f"定时器 {name} 未运行（{schedule.active}）")
    if schedule.enabled != "enabled":
        yield says(
            en=f"the timer {name} is {schedule.enabled}: it does not start at boot",
            zh=f"定时器 {name} 未设为开机启动（{schedule.enabled}）",
        )
    wait = (schedule.next_run - schedule.now) / 3600
    if schedule.active == "active" and not 0 <= wait <= params.max_age_hours:
        yield says(
            en=f"the timer {name} does not run every day: next in {wait:.0f} hours",
            zh=f"定时器 {name} 并非每日执行：下次执行在 {wait:.0f} 小时后",
        )
    elif (longest := max((b - a for a, b in pairwise(schedule.runs)), default=0) / 3600) > params.max_age_hours:
        yield says(
            en=f"the timer {name} does not run every day: up to {longest:.0f} hours lie between two runs",
            zh=f"定时器 {name} 并非每日执行：两次执行最长间隔 {longest:.0f} 小时",
        )
    if schedule.service_load != "loaded":
        yield says(
            en=f"its service {schedule.service} is {schedule.service_load}",
            zh=f"其服务 {schedule.service} 状态为 {schedule.service_load}",
        )
    elif schedule.service_result != "success":
        yield says(
            en=f"the last run of {schedule.service} failed: {schedule.service_result}",
            zh=f"{schedule.service} 最近一次执行失败：{schedule.service_result}",
        )
    elif schedule.service_skipped:
        yield says(
            en=f"{schedule.service} was passed over when it was last started: a condition of it does not hold",
            zh=f"{schedule.service} 最近一次启动被跳过：其启动条件不满足",
        )


def _newest_set(files: list[Artefact]) -> list[Artefact]:
    """Return the files of the newest run: those in the newest run's folder, or the newest where runs have none."""
    last = files[-1]
    if _run_of(last.path) == last.path:
        return [last]
    newest = max(files, key=lambda file: _run_of(file.path))
    return [file for file in files if _run_of(file.path) == _run_of(newest.path)]


def _run_of(path: str) -> str:
    return next((part for part in path.split("/") if part[:1] == "2" and part.endswith("Z")), path)


def _of_files(files: list[Artefact], now: float, params: Params) -> Iterator[Text]:
    if not files:
        yield says(en="there is no backup file", zh="没有任何备份文件")
        return
    newest = max(_newest_set(files), key=lambda file: file.written)
    # A set's name says when it was made; a copy or a touch makes a file young, and no backup.
    times = [newest.written, *_named_times(newest.path)]
    hours = (now - min(times)) / 3600
    if hours > params.max_age_hours:
        yield says(
            en=f"the newest backup, {newest.path}, is {hours:.0f} hours old",
            zh=f"最近一次备份 {newest.path} 距今已 {hours:.0f} 小时",
        )
    if max(times) > now + 3600:
        yield says(en=f"{newest.path} is dated in the future", zh=f"{newest.path} 的时间晚于当前时间，不可信")
    for file in _newest_set(files):
        if file.bytes == 0:
            yield says(en=f"{file.path} is empty", zh=f"{file.path} 为空文件")
        elif file.unreadable:
            yield says(
                en=f"{file.path} cannot be restored from: {file.unreadable}",
                zh=f"{file.path} 无法用于恢复：{file.unreadable}",
            )
    yield from _of_history(files, now, params)


def _of_history(files: list[Artefact], now: float, params: Params) -> Iterator[Text]:
    sizes: dict[str, int] = {}
    written: dict[str, float] = {}
    for file in files:
        run = _run_of(file.path)
        sizes[run] = sizes.get(run, 0) + file.bytes
        written[run] = max(written.get(run, 0.0), file.written)
    runs = sorted(sizes, key=lambda run: written[run])
    before = [sizes[run] for run in runs[-8:-1]]
    if before and sizes[runs[-1]] < median(before) * (100 - params.size_tolerance_pct) / 100:
        yield says(
            en=f"the newest backup has {sizes[runs[-1]]} bytes, those before it {median(before):.0f}",
            zh=f"最近一次备份仅 {sizes[runs[-1]]} 字节，此前各次约 {median(before):.0f} 字节",
        )
    times = [written[run] for run in runs if written[run] > now - params.window_days * DAY]
    for earlier, later in pairwise(times):
        if later - earlier > params.max_age_hours * 3600 + DAY / 2:
            yield says(
                en=f"a day is missing: {(later - earlier) / 3600:.0f} hours lie between two backups",
                zh=f"备份有缺失：相邻两次备份间隔 {(later - earlier) / 3600:.0f} 小时",
            )


def _named_times(path: str) -> list[float]:
    """Return the time in the name of the run's folder."""
    try:
        return [datetime.strptime(_run_of(path), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()]
    except ValueError:
        return []


def _of_own_set(files: list[Artefact], server: Held, product: str) -> Iterator[Text]:
    """Each database that a server holds must be in the newest backup, and that shut to everybody but root."""
    for folder in server.strangers:
        yield says(
            en=f"the server of {folder} is not backed up: the backup knows {'clusters of pg_lsclusters' if product == 'postgresql' else 'the default socket'} only",
            zh=f"数据目录为 {folder} 的实例未纳入备份：备份任务只覆盖{' pg_lsclusters 列出的实例' if product == 'postgresql' else '默认套接字上的实例'}",
        )
    exposed = [file.path for file in files if file.exposed]
    if exposed:
        yield says(
            en=f"every account of the host may read {exposed[0]}: its folder must be root's alone (0700)",
            zh=f"主机上任何账户都可读取 {exposed[0]}：备份目录应仅 root 可访问（0700）",
        )
    held = {file.path for file in files if file.bytes}
    if product == "postgresql":
        for folder in sorted({name.partition("/")[0] for name in server.databases}):
            if not any(path.endswith(f"/{folder}/globals.sql") for path in held):
                yield says(
                    en=f"the accounts of {folder} (globals.sql) are not in the newest backup",
                    zh=f"最近一次备份中没有 {folder} 的账户（globals.sql）",
                )
    for name in server.databases:
        folder, _, database = name.rpartition("/")
        encoded = database.replace("%", "%25").replace("/", "%2F")
        encoded = "%2E" + encoded[1:] if encoded.startswith(".") else encoded
        wanted = f"/{folder}/{encoded}.dump" if product == "postgresql" else f"/{encoded}.sql.gz"
        if not any(path.endswith(wanted) for path in held):
            yield says(
                en=f"the database {name} is not in the newest backup", zh=f"最近一次备份中没有数据库 {name}"
            )
        elif not any(path.endswith(f"{wanted}.manifest") for path in held):
            yield says(
                en=f"the backup of the database {name} has no manifest: no drill could prove it",
                zh=f"数据库 {name} 的备份没有清单文件，无法通过恢复演练证实其可用",
            )
