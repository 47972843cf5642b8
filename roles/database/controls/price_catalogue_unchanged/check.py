"""Compares each declared table with what was approved of it, and looks whether the audit would tell who changed it, or does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import PurePosixPath

from testinfra.host import Host

from medsec.catalogue.source import validate
from medsec.errors import UsageError
from medsec.inventory import Params
from medsec.inventory.prices import Approval, PriceTable, last
from medsec.probes import mariadb, postgresql, price_tables
from medsec.text import Text, says

# What changes rows, and what changes or drops tables. TRUNCATE is written as one of the session's `write` alone: an object audit
# (pgaudit.role) never tells of it, and is not enough.
_CLASSES = frozenset({"ddl", "write"})


def check(host: Host, params: Params) -> None:
    tables = [
        validate(PriceTable, entry, f"{params.variable('tables')} {number}")
        for number, entry in enumerate(params.tables, start=1)
    ]
    if not tables:
        raise UsageError(
            says(
                en=f"{params.variable('tables')} names no table; declare the tables as price_catalogue in the ledger",
                zh=f"{params.variable('tables')} 没有登记任何表；请在台账 price_catalogue 中登记",
            )
        )
    approved = [
        validate(Approval, entry, f"{params.variable('approved')} {number}")
        for number, entry in enumerate(params.approved, start=1)
    ]
    ports = {(table.product, table.port) for table in tables}
    clusters = [
        server
        for server in (postgresql.servers(host) if any(table.product == "postgresql" for table in tables) else ())
        if ("postgresql", server.port) in ports
    ]
    others = [
        server
        for server in (mariadb.servers(host) if any(table.product == "mariadb" for table in tables) else ())
        if ("mariadb", mariadb.port(server)) in ports
    ]
    folders = [*map(_log_folder, clusters), *filter(None, map(mariadb.audit_file, others))]
    problems = [*_changed(host, tables, approved, params, folders)]
    for cluster in clusters:
        databases = {
            table.database for table in tables if (table.product, table.port) == ("postgresql", cluster.port)
        }
        problems += _untold(cluster.name, _by_pgaudit(cluster, databases))
    for other in others:
        problems += _untold(other.name, _by_server_audit(host, other))
    shown, more = problems[:12], len(problems) - 12
    assert not problems, says(
        en="; ".join(p.en for p in shown) + (f"; and {more} more" if more > 0 else ""),
        zh="；".join(p.zh for p in shown) + (f"；另有 {more} 处" if more > 0 else ""),
    )


def _log_folder(server: postgresql.Server) -> str:
    return str(PurePosixPath(server.value("data_directory") or server.data, server.value("log_directory")))


def _changed(
    host: Host, tables: list[PriceTable], approved: list[Approval], params: Params, folders: list[str]
) -> Iterator[Text]:
    now = price_tables.held(host, tables, params.seconds)
    changed = []
    for table in tables:
        found = last(approved, table)
        if found is None:
            yield says(
                en=f"{table.label}: no snapshot of it was approved; look at what it holds and run `medsec prices approve --change NUMBER --approver NAME`",
                zh=f"{table.label}：尚无批准的快照；请核对内容后执行 `medsec prices approve --change 变更单号 --approver 批准人`",
            )
            continue
        approval, was = found
        told = price_tables.difference(now[table.key], was, params.drop_pct)
        if told is not None:
            changed.append((table, approval, told))
    if not changed:
        return
    since = min(approval.approved for _, approval, _ in changed)
    who = price_tables.last_changes(host, [table for table, _, _ in changed], since, folders)
    for table, approval, told in changed:
        change = who.get(table.key) if who is not None else None
        day = _day(approval.approved)
        by_en, by_zh = "no change of it since is in the audit log", "审计日志中未查到此后的变动"
        if who is None:
            by_en, by_zh = "the audit log is too long to be searched in time", "审计日志过大，未能在时限内查完"
        if change is not None and change.when >= approval.approved:
            by_en, by_zh = (
                f"last changed: {change.told} ({change.statement})",
                f"最后变动：{change.told}（{change.statement}）",
            )
        yield says(
            en=f"{table.label}: changed since {day} (approved by {approval.approver}, change record {approval.change}): {told.en}; {by_en}",
            zh=f"{table.label}：自 {day} 批准（批准人：{approval.approver}，变更单号：{approval.change}）后已变动：{told.zh}；{by_zh}",
        )


def _day(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M %Z")


def _untold(name: str, reasons: Iterator[Text]) -> Iterator[Text]:
    """Say by what a change of the tables would leave no trace."""
    for reason in reasons:
        yield says(
            en=f"{name}: the audit would not tell who changes the tables: {reason.en}",
            zh=f"{name}：审计无法说明是谁变动了这些表：{reason.zh}",
        )


def _by_pgaudit(server: postgresql.Server, databases: set[str]) -> Iterator[Text]:
    # A standby takes no writes of its own.
    if server.in_recovery:
        return
    libraries = server.value("shared_preload_libraries")
    if not postgresql.loads_pgaudit(libraries):
        yield says(en="pgaudit is not loaded", zh="未加载 pgaudit")
        return
    value = server.value("pgaudit.log")
    if not postgresql.classes(value) >= _CLASSES:
        yield says(
            en=f"pgaudit.log is «{value}», and {' and '.join(sorted(_CLASSES))} are needed",
            zh=f"pgaudit.log 为“{value}”，须包含 {' 和 '.join(sorted(_CLASSES))}",
        )
        return
    cut = postgresql.silenced(server, _CLASSES)
    if cut:
        told = [f"{one.scope} ({one.name}={one.value})" for one in cut]
        yield says(en=f"it is cut for {', '.join(told)}", zh=f"以下对象的审计被关闭：{'、'.join(told)}")
    if server.granted:
        told = [f"{name} ({role})" for name, role in server.granted]
        yield says(
            en=f"others than superusers may switch it off: {', '.join(told)}",
            zh=f"超级用户以外的账户可自行关闭：{'、'.join(told)}",
        )
    for database in sorted(databases & set(server.complaints)):
        seen = {record.audit_class for record in server.records if record.database == database}
        if not seen >= _CLASSES:
            said = server.complaints[database] or f"{', '.join(sorted(_CLASSES - seen))}"
            yield says(
                en=f"statements just made in database {database} are not in the log: {said}",
                zh=f"刚在数据库 {database} 中执行的语句未写入日志：{said}",
            )


def _by_server_audit(host: Host, server: mariadb.Server) -> Iterator[Text]:
    if server.load_option("server_audit") is None:
        yield says(en="server_audit is not loaded", zh="未加载 server_audit")
        return
    events = [
        word.strip().upper() for word in (server.value("server_audit_events") or "").split(",") if word.strip()
    ]
    wrong = [
        f"{name} = {value}"
        for name, value, good in (
            ("server_audit_logging", server.value("server_audit_logging"), ("ON", "1")),
            ("server_audit_excl_users", server.value("server_audit_excl_users"), ("", None)),
            ("server_audit_incl_users", server.value("server_audit_incl_users"), ("", None)),
        )
        if value not in good
    ]
    # Without any event named it writes all.
    if events and "QUERY" not in events:
        wrong.append(f"server_audit_events = {','.join(events)}")
    if wrong:
        yield says(en=", ".join(wrong), zh="、".join(wrong))
        return
    written = mariadb.audited(host, server)
    if not any(f",{written.user}," in line and ",QUERY," in line for line in written.lines):
        yield says(en="a statement just made is not in its log", zh="刚执行的语句未写入其日志")
