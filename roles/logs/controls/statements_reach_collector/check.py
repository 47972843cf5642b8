"""Asks rsyslog what it does with the databases' logs: what it has read, what waits, and whether the collector takes it."""

from __future__ import annotations

from collections.abc import Iterator

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes.statement_logs import Forwarding, forwarding, problems_of
from medsec.text import Text, says


def check(host: Host, params: Params) -> None:
    assert params.collected_by, says(
        en="the ledger registers no collector (collected_by)", zh="台账未登记日志收集主机（collected_by）"
    )
    collector = params.collected_by[0]
    place = f"{collector['host']} ({collector['address']}:{collector.get('port', 2514)})"
    found = forwarding(host, collector["address"], collector.get("port", 2514), params.spool)
    problems = [*problems_of(found.rsyslog)]
    if found.rsyslog.installed and found.rsyslog.active:
        problems += [*_of_sending(found, place), *_of_reading(found, params)]
    assert not problems, says(en="; ".join(p.en for p in problems), zh="；".join(p.zh for p in problems))


def _of_sending(found: Forwarding, place: str) -> Iterator[Text]:
    if not found.unsent:
        yield says(en=f"rsyslog has no connection to {place}", zh=f"rsyslog 与 {place} 之间没有连接")
    elif 0 not in found.unsent:
        yield says(
            en=f"{place} does not take what it is sent: {min(found.unsent)} bytes are not acknowledged",
            zh=f"{place} 未接收转发的日志：{min(found.unsent)} 字节未获确认",
        )
    if found.waiting:
        yield says(
            en=f"{found.waiting} records wait on the disk to be forwarded",
            zh=f"磁盘队列中有 {found.waiting} 条记录尚未转发",
        )


def _of_reading(found: Forwarding, params: Params) -> Iterator[Text]:
    for log in found.logs:
        if log.size is None:
            yield says(
                en=f"{log.product} writes to a file that is gone: {log.path}",
                zh=f"{log.product} 正在写入已被删除的文件：{log.path}",
            )
        elif log.read is None:
            yield says(en=f"nothing forwards {log.path}", zh=f"{log.path} 未被转发")
        elif log.read != log.size:
            yield says(
                en=f"of the {log.size} bytes of {log.path} rsyslog has read {log.read}",
                zh=f"{log.path} 共 {log.size} 字节，rsyslog 仅读取 {log.read} 字节",
            )
    if "postgresql" in params.products and not any(log.product == "postgresql" for log in found.logs):
        yield says(
            en="no PostgreSQL server has a log file open that could be forwarded",
            zh="没有 PostgreSQL 服务打开可供转发的日志文件",
        )
