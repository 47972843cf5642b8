"""Asks every running server what it audits, now and after a restart; then makes statements and looks for them in its log."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes import mariadb
from medsec.probes.mariadb import Server, Written
from medsec.text import Text, says

_EVENTS = ("CONNECT", "QUERY", "TABLE")
_DECIDING = ("logging", "events", "excl_users", "incl_users", "query_log_limit")
# The server's own default: characters of a statement that are written down.
_WHOLE = 1024
_ON = ("on", "1", "true", "yes")


def check(host: Host, params: Params) -> None:
    servers = mariadb.servers(host)
    assert servers, says(
        en="the ledger says that MariaDB runs here, and no MariaDB server is running",
        zh="台账登记本机运行 MariaDB，但没有正在运行的 MariaDB 服务",
    )
    for server in servers:
        complaints = list(_complaints(server, params.file_mib))
        assert not complaints, says(
            en=f"{server.name}: {'; '.join(text.en for text in complaints)}",
            zh=f"{server.name}：{'；'.join(text.zh for text in complaints)}",
        )
        _is_written(server, mariadb.audited(host, server))


def _complaints(server: Server, file_mib: int) -> Iterator[Text]:
    option = server.load_option("server_audit")
    if option is None:
        yield says(en="server_audit is not loaded", zh="未加载审计插件 server_audit")
        return
    if option != "FORCE_PLUS_PERMANENT":
        yield says(
            en=f"server_audit can be unloaded while the server runs: it is loaded with {option}, not FORCE_PLUS_PERMANENT",
            zh=f"server_audit 可在运行中被卸载：加载方式为 {option}，应为 FORCE_PLUS_PERMANENT",
        )
    for name in _DECIDING:
        variable = f"server_audit_{name}"
        yield from _wrong(name, variable, server.value(variable) or "")
    yield from _after_a_restart(server.options)
    yield from _goes_elsewhere(server)
    yield from _rotates_too_soon(server, file_mib)


def _wrong(name: str, called: str, value: str) -> Iterator[Text]:
    """Say what a value lets escape."""
    if name == "logging" and value.lower() not in _ON:
        yield says(en=f"{called} is {value or 'OFF'}", zh=f"{called} 为 {value or 'OFF'}")
    # Without any event named it writes all.
    said = [event.strip().upper() for event in value.split(",") if event.strip()]
    missing = ", ".join(event for event in _EVENTS if event not in said)
    if name == "events" and said and missing:
        yield says(
            en=f"{called} is «{value}» and leaves out {missing}", zh=f"{called} 为“{value}”，未覆盖 {missing}"
        )
    if name == "query_log_limit" and value.isdigit() and int(value) < _WHOLE:
        yield says(
            en=f"{called} is {value}: what stands behind so many characters is not written; needed: {_WHOLE}",
            zh=f"{called} 为 {value}，超出部分不记录，应不小于 {_WHOLE}",
        )
    if name.endswith("_users") and value:
        yield says(
            en=f"{called} is «{value}»: other accounts or these are not audited",
            zh=f"{called} 为“{value}”，有账户未被审计",
        )


def _after_a_restart(options: Mapping[str, str]) -> Iterator[Text]:
    """What was set at run time only is lost at the next start; what was written since the last one has yet to take effect."""
    forced = options.get("server_audit", "ON")
    if forced.upper() != "FORCE_PLUS_PERMANENT":
        yield says(
            en=f"the settings files do not force server_audit: after a restart it is {forced}",
            zh=f"配置文件未强制加载 server_audit：重启后为 {forced}",
        )
    for name in _DECIDING:
        for wrong in _wrong(name, f"server_audit_{name}", options.get(f"server_audit_{name}", "")):
            yield says(en=f"after a restart {wrong.en}", zh=f"重启后 {wrong.zh}")


def _goes_elsewhere(server: Server) -> Iterator[Text]:
    """The log that is looked into now must be the one after a restart, and nothing may switch it off as the server starts."""
    now = _place(server.value("server_audit_output_type"), server.value("server_audit_file_path"))
    then = _place(server.options.get("server_audit_output_type"), server.options.get("server_audit_file_path"))
    if now != then:
        yield says(
            en=f"after a restart it writes to {then}, now to {now}", zh=f"重启后审计写入 {then}，当前写入 {now}"
        )
    deciding = [row[0] for row in server.rows.get("init", ()) if row and "server_audit" in row[0].lower()]
    if deciding:
        yield says(
            en=f"init_file {server.options.get('init_file')} changes the audit at every start: {deciding[0]:.100}",
            zh=f"init_file {server.options.get('init_file')} 会在每次启动时更改审计：{deciding[0]:.100}",
        )


def _place(kind: str | None, path: str | None) -> str:
    if (kind or "file").lower() in ("syslog", "0"):
        return "syslog"
    return f"file {path or 'server_audit.log'}"


def _rotates_too_soon(server: Server, file_mib: int) -> Iterator[Text]:
    """A file of its own is rotated by size: a busy day would push half a year out. 0 rotations: never."""
    rotations = int(server.value("server_audit_file_rotations") or 0)
    kept = int(server.value("server_audit_file_rotate_size") or 0) * (rotations + 1) // 2**20
    if (server.value("server_audit_output_type") or "").lower() == "file" and rotations and kept < file_mib:
        yield says(
            en=f"its own rotation keeps {kept} MiB of records, less than {file_mib} (server_audit_file_rotate_size, _rotations)",
            zh=f"审计文件自动轮转只保留 {kept} MiB，少于 {file_mib} MiB（server_audit_file_rotate_size、_rotations）",
        )


def _is_written(server: Server, written: Written) -> None:
    place = server.value("server_audit_output_type") or ""
    if place.lower() == "file":
        place = f"file {server.value('server_audit_file_path')}"
    found = [line for line in written.lines if "@<canary>" in line]
    assert found, says(
        en=f"{server.name}: a statement just made is not in its audit log ({place})",
        zh=f"{server.name}：刚执行的语句未写入审计日志（{place}）",
    )
    # date and time, ... ,user,host,connection,query,QUERY,...
    told = re.compile(rf"\d\d:\d\d:\d\d.*,{re.escape(written.user)},[^,]*,{written.connection},\d+,QUERY,")
    assert all(told.search(line) for line in found), says(
        en=f"{server.name}: its audit log does not say who and when: {found[0]:.200}",
        zh=f"{server.name}：审计记录缺少用户或时间：{found[0]:.200}",
    )
    told_secrets = [line for line in written.lines if "Secret-<canary>" in line]
    assert not told_secrets, says(
        en=f"{server.name}: passwords in statements reach the log in clear: {told_secrets and told_secrets[0]:.200}",
        zh=f"{server.name}：语句中的口令以明文写入日志：{told_secrets and told_secrets[0]:.200}",
    )
