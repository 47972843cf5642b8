"""Asks every database server that runs what it is, and compares: with its maker's dates, with its package, with what the sources offer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

from testinfra.host import Host

from medsec.catalogue.end_of_support import SupportTable, load_support_table
from medsec.inventory import Params
from medsec.probes.database_versions import Asked, Found, Updates, databases, packaged_version
from medsec.resources import root
from medsec.text import Text, says

TABLE = "roles/database/end_of_support.yml"
ASKED = ("postgresql", "mariadb")


def check(host: Host, params: Params) -> None:
    # By the clock of the machine that judges: a host whose clock is wrong would find everything supported.
    now = datetime.now(UTC)
    table = load_support_table(root() / TABLE, params.support, "database_version_supported_support")
    found = databases(host)
    assert params.products or params.kind != "db", says(
        en="the ledger registers no database product (`runs`) on this database server",
        zh="台账未登记该数据库服务器运行的数据库产品（runs）",
    )
    problems = [
        *_unseen(found, params),
        *(problem for one in found.asked for problem in _of_server(one, table, now.date())),
        *(problem for product in _told(found, params) for problem in _of_told(product, params, table, now.date())),
        *_of_updates(found, params.lists_days, now),
        *_of_table(found, params, table, now.date()),
    ]
    assert not problems, says(en="; ".join(p.en for p in problems), zh="；".join(p.zh for p in problems))


def _unseen(found: Found, params: Params) -> Iterator[Text]:
    running = {one.process.product for one in found.asked}
    for product in ASKED:
        if product in params.products and product not in running:
            yield says(
                en=f"the ledger says that {product} runs here, and no such server is running",
                zh=f"台账登记本机运行 {product}，但没有正在运行的服务",
            )


def _told(found: Found, params: Params) -> list[str]:
    """The products that cannot be asked, registered or found running."""
    return sorted({*params.products, *(one.product for one in found.untold)} - {*ASKED})


def _of_server(one: Asked, table: SupportTable, today: date) -> Iterator[Text]:
    yield from _support(one.process.product, says(en=one.name, zh=one.name), one.version, table, today)
    process = one.process
    if not process.package:
        yield says(
            en=f"{one.name}: {process.program} belongs to no package, and nothing tells of its updates",
            zh=f"{one.name}：{process.program} 不属于任何软件包，无从得知其更新",
        )
        return
    installed = packaged_version(process.installed)
    if installed != one.version:
        yield says(
            en=f"{one.name} is not what is installed ({process.package} {process.installed}): restart it",
            zh=f"{one.name} 与已安装的版本（{process.package} {process.installed}）不一致：请重启该服务",
        )
    elif process.replaced:
        yield says(
            en=f"{one.name} runs a program that was replaced on the disk since it started ({process.program}): restart it",
            zh=f"{one.name} 启动后其程序文件已被替换（{process.program}）：请重启该服务",
        )
    elif process.libraries:
        shown = ", ".join(process.libraries[:3])
        yield says(
            en=f"{one.name} runs with libraries that were replaced since it started ({shown}): restart it",
            zh=f"{one.name} 启动后所用的库文件已被替换（{shown}）：请重启该服务",
        )


def _support(product: str, name: Text, version: str, table: SupportTable, today: date) -> Iterator[Text]:
    line = table.of(product, version)
    if line is None:
        yield says(
            en=f"{name.en}: until when it is mended is not known: neither the table of {table.as_of} nor "
            "database_version_supported_support has its series",
            zh=f"{name.zh}：支持期限不明：{table.as_of} 的停止支持清单和 database_version_supported_support 均无该系列",
        )
    elif line.until < today:
        successors = [f"{other.series} ({other.until})" for other in table.supported(product, today)]
        plan_en = f"; supported are {', '.join(successors)}" if successors else ""
        plan_zh = f"；仍受支持的系列：{'、'.join(successors)}" if successors else ""
        memory = (", from memory", "，凭记忆录入") if line.from_memory else ("", "")
        yield says(
            en=f"{name.en}: support of {line.series} ended on {line.until} ({line.source}{memory[0]}){plan_en}",
            zh=f"{name.zh}：{line.series} 系列已于 {line.until} 停止支持（{line.source}{memory[1]}）{plan_zh}",
        )


def _of_told(product: str, params: Params, table: SupportTable, today: date) -> Iterator[Text]:
    called = table.name(product)
    if product not in params.products:
        yield says(
            en=f"{called} runs here, and the ledger does not register it (`runs`)",
            zh=f"本机运行 {called}，但台账未登记（runs）",
        )
    entries = [entry for entry in params.versions if entry["product"] == product]
    if not entries:
        yield says(
            en=f"{called}: its version is not known: medsec cannot ask it, and the ledger (versions) does not tell it",
            zh=f"{called}：版本不明：medsec 无法查询，台账（versions）也未登记",
        )
    for entry in entries:
        yield from _of_entry(entry, called, params, table, today)


def _of_entry(
    entry: Mapping[str, Any], called: str, params: Params, table: SupportTable, today: date
) -> Iterator[Text]:
    version, newest, read = str(entry["version"]), str(entry["newest"]), date.fromisoformat(str(entry["read"]))
    name = says(
        en=f"{called} {version} (as {entry['read_by']} read it on {read})",
        zh=f"{called} {version}（{entry['read_by']} 于 {read} 查得）",
    )
    yield from _support(str(entry["product"]), name, version, table, today)
    if version != newest:
        yield says(
            en=f"{name.en}: {newest} waits to be installed",
            zh=f"{name.zh}：应更新至 {newest}",
        )
    if not 0 <= (today - read).days <= params.told_days:
        yield says(
            en=f"{name.en}: read it again, at least every {params.told_days} days",
            zh=f"{name.zh}：至少每 {params.told_days} 天重新查看一次，请重新登记",
        )


def _of_updates(found: Found, days: int, now: datetime) -> Iterator[Text]:
    if not any(one.process.package for one in found.asked):
        return
    updates = found.updates
    if updates.waiting:
        plan = ", ".join(f"{name} {has} -> {newest}" for name, has, newest in updates.waiting)
        yield says(
            en=f"updates wait, to be installed and the server restarted: {plan}",
            zh=f"有待安装的更新（安装后须重启数据库服务）：{plan}",
        )
    yield from _of_lists(updates, days, now)


def _of_lists(updates: Updates, days: int, now: datetime) -> Iterator[Text]:
    made = updates.made()
    if updates.missing:
        shown = ", ".join(updates.missing[:3])
        yield says(
            en=f"whether updates wait is not known: the host has no list of the packages of {shown}",
            zh=f"无法判定有无更新：本机没有软件源 {shown} 的软件包清单",
        )
    elif made is None:
        yield says(
            en="whether updates wait is not known: no list of packages on the host has those of its database servers",
            zh="无法判定有无更新：本机的软件包清单中没有数据库服务的软件包",
        )
    elif not -1 <= (age := (now - datetime.fromtimestamp(made, UTC)).total_seconds() / 86400) <= days:
        day = datetime.fromtimestamp(made, UTC).date()
        yield says(
            en=f"whether updates wait is not known: the newest list of packages is of {day}, {age:.0f} days old, {days} at most",
            zh=f"无法判定有无更新：最新的软件包清单日期为 {day}，已有 {age:.0f} 天，最长 {days} 天",
        )


def _of_table(found: Found, params: Params, table: SupportTable, today: date) -> Iterator[Text]:
    """Nothing is supported by an old table's word alone; what it says has ended has ended."""
    versions = [(one.process.product, one.version) for one in found.asked]
    versions += [(str(entry["product"]), str(entry["version"])) for entry in params.versions]
    lines = [line for product, version in versions if (line := table.of(product, version)) is not None]
    days = (today - table.as_of).days
    if days > params.table_days and any(not line.own and line.until >= today for line in lines):
        yield says(
            en=f"the table of ends of support is of {table.as_of}, {days} days old, {params.table_days} at most: "
            "install a newer medsec, or enter the dates in database_version_supported_support",
            zh=f"停止支持清单的日期为 {table.as_of}，已有 {days} 天，最长 {params.table_days} 天："
            "请更新 medsec，或在 database_version_supported_support 中登记支持期限",
        )
