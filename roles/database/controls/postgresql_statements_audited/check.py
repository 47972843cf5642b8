"""Makes statements on every running server and looks for what its log says of them; then looks for who is left out."""

from __future__ import annotations

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes import postgresql
from medsec.probes.postgresql import Server
from medsec.text import says

_TIMES = ("%t", "%m", "%n")


def check(host: Host, params: Params) -> None:
    servers = postgresql.servers(host)
    assert servers, says(
        en="the ledger says that PostgreSQL runs here, and no PostgreSQL server is running",
        zh="台账登记本机运行 PostgreSQL，但没有正在运行的 PostgreSQL 服务",
    )
    wanted = frozenset(params.classes)
    for server in servers:
        _is_loaded(server)
        _takes_effect(server)
        _covers(server, wanted)
        _nobody_is_left_out(server, wanted)
        _nobody_else_decides(server)
        _is_written(server, wanted)
        _says_who_and_when(server)
        _keeps_secrets(server, params.secrets)


def _is_loaded(server: Server) -> None:
    now, later = server.value("shared_preload_libraries"), server.later("shared_preload_libraries")
    assert postgresql.loads_pgaudit(now), says(
        en=f"{server.name}: pgaudit is not loaded: shared_preload_libraries is «{now}»",
        zh=f"{server.name}：未加载 pgaudit，shared_preload_libraries 为“{now}”",
    )
    assert postgresql.loads_pgaudit(later), says(
        en=f"{server.name}: after a restart pgaudit is not loaded: the files say shared_preload_libraries = «{later}»",
        zh=f"{server.name}：重启后不会加载 pgaudit，配置文件中 shared_preload_libraries 为“{later}”",
    )


def _takes_effect(server: Server) -> None:
    waiting = [name for name, setting in server.settings.items() if setting.pending_restart]
    assert not waiting, says(
        en=f"{server.name}: {', '.join(waiting)} changed and wait for a restart",
        zh=f"{server.name}：{'、'.join(waiting)} 已修改，尚待重启生效",
    )


def _covers(server: Server, wanted: frozenset[str]) -> None:
    for en, zh, value in (
        ("", "", server.value("pgaudit.log")),
        ("after a reload ", "重新加载后", server.later("pgaudit.log")),
    ):
        missing = wanted - postgresql.classes(value)
        assert not missing, says(
            en=f"{server.name}: {en}pgaudit.log is «{value}» and leaves out {', '.join(sorted(missing))}",
            zh=f"{server.name}：{zh} pgaudit.log 为“{value}”，未覆盖 {'、'.join(sorted(missing))}",
        )


def _nobody_is_left_out(server: Server, wanted: frozenset[str]) -> None:
    silenced = postgresql.silenced(server, wanted)
    assert not silenced, says(
        en=f"{server.name}: audit is cut for {'; '.join(f'{o.scope} by {o.name}={o.value}' for o in silenced)}",
        zh=f"{server.name}：以下对象的审计被关闭：{'；'.join(f'{o.scope}（{o.name}={o.value}）' for o in silenced)}",
    )


def _nobody_else_decides(server: Server) -> None:
    """Since version 15 a superuser can let others set what is his alone."""
    granted = [f"{name} ({role})" for name, role in server.granted]
    assert not granted, says(
        en=f"{server.name}: others than superusers may set what is audited: {', '.join(granted)} (REVOKE ... ON PARAMETER)",
        zh=f"{server.name}：超级用户以外的账户可更改审计设置：{'、'.join(granted)}（应执行 REVOKE … ON PARAMETER）",
    )


def _is_written(server: Server, wanted: frozenset[str]) -> None:
    """Each class is found in the log for each database; a standby takes no writes and is tried by reading only."""
    expected = wanted & {"ddl", "role", "write", "read"}
    if server.in_recovery:
        expected = expected & {"read"}
    for database, complaint in server.complaints.items():
        assert not complaint, says(
            en=f"{server.name}: the harmless statements did not run in database {database}: {complaint}",
            zh=f"{server.name}：在数据库 {database} 中执行无害的验证语句失败：{complaint}",
        )
        seen = {record.audit_class for record in server.records if record.database == database}
        missing = ", ".join(sorted(expected - seen))
        assert not missing, says(
            en=f"{server.name}: statements just made in database {database} are not in its log: no AUDIT line of class "
            f"{missing} (log_destination {server.value('log_destination')}, standard error goes to {server.log})",
            zh=f"{server.name}：刚在数据库 {database} 中执行的语句未写入日志：没有 {missing} 类 AUDIT 记录"
            f"（log_destination 为 {server.value('log_destination')}，标准错误输出到 {server.log}）",
        )


def _says_who_and_when(server: Server) -> None:
    """A CSV or JSON log always tells; the text of the others is what log_line_prefix makes of it."""
    texts = [record for record in server.records if not record.source.endswith((".csv", ".json"))]
    structured = len(texts) < len(server.records)
    prefix = server.value("log_line_prefix")
    by_syslog = all(record.source == "journal" or record.source.startswith("/var/log/") for record in texts)
    has_time = any(sign in prefix for sign in _TIMES) or (
        by_syslog and "syslog" in server.value("log_destination")
    )
    assert structured or not texts or ("%u" in prefix and has_time), says(
        en=f"{server.name}: its AUDIT lines do not say who and when: log_line_prefix is «{prefix}» (%m and %u are needed)",
        zh=f"{server.name}：AUDIT 记录缺少用户或时间：log_line_prefix 为“{prefix}”（应含 %m 和 %u）",
    )


def _keeps_secrets(server: Server, level: str) -> None:
    """log_statement writes CREATE ROLE ... PASSWORD in clear; so does an error, where log_min_error_statement lets it."""
    if level == "off":
        return
    statement = server.value("log_statement")
    told = [
        f"{o.scope}: log_statement={o.value}"
        for o in server.overrides
        if o.name == "log_statement" and o.value != "none"
    ]
    if statement != "none":
        told.append(f"log_statement={statement}")
    elif server.later("log_statement") != "none":
        told.append(f"log_statement={server.later('log_statement')} (after a reload)")
    if level == "errors" and server.value("log_min_error_statement") not in ("log", "fatal", "panic"):
        told.append(f"log_min_error_statement={server.value('log_min_error_statement')}")
    assert not told, says(
        en=f"{server.name}: passwords in statements reach the log in clear: {'; '.join(told)}",
        zh=f"{server.name}：语句中的口令会以明文写入日志：{'；'.join(told)}",
    )
