"""Asks systemd when the backup runs and how it ended, the disk what it left, and the server what should be in it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import Any

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes.backups import Artefact, artefacts, databases, timer
from medsec.text import Text, says

DAY = 86400
KNOWN = ("postgresql", "mariadb")


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
    if job.get("named") and files:
        yield from _of_databases(databases(host, product), _newest_set(files), product)


def _of_timer(schedule: Any, params: Params) -> Iterator[Text]:
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


def _newest_set(files: list[Artefact]) -> list[Artefact]:
    """Return the files of the newest run: those in the newest run's folder."""
    newest = max(files, key=lambda file: _run_of(file.path))
    return [file for file in files if _run_of(file.path) == _run_of(newest.path)]


def _run_of(path: str) -> str:
    return next((part for part in path.split("/") if part[:1] == "2" and part.endswith("Z")), path)


def _of_files(files: list[Artefact], now: float, params: Params) -> Iterator[Text]:
    if not files:
        yield says(en="there is no backup file", zh="没有任何备份文件")
        return
    newest = files[-1]
    hours = (now - newest.written) / 3600
    if hours > params.max_age_hours:
        yield says(
            en=f"the newest backup, {newest.path}, is {hours:.0f} hours old",
            zh=f"最近一次备份 {newest.path} 距今已 {hours:.0f} 小时",
        )
    if hours < -1:
        yield says(en=f"{newest.path} is dated in the future", zh=f"{newest.path} 的时间晚于当前时间，不可信")
    latest = _newest_set(files) if _run_of(newest.path) != newest.path else [newest]
    for file in latest:
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


def _of_databases(names: list[str], files: list[Artefact], product: str) -> Iterator[Text]:
    """Each database that the server holds must be in the newest backup."""
    held = {file.path for file in files}
    for name in names:
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
