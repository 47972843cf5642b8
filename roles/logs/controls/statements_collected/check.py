"""Asks the collector what it has of each registered server: how new it is, and who could change or read it."""

from __future__ import annotations

from collections.abc import Iterator

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes.statement_logs import Collecting, collecting, problems_of
from medsec.text import Text, says

MEMORY = ("tmpfs", "ramfs")
GROUPS = ("root", "adm")


def check(host: Host, params: Params) -> None:
    assert params.collects_from, says(
        en="the ledger registers no server (collects_from)", zh="台账未登记来源服务器（collects_from）"
    )
    names = [f"{source['host']}/{system}" for source in params.collects_from for system in source["systems"]]
    found = collecting(host, params.port, params.directory, names)
    problems = [*problems_of(found.rsyslog)]
    if found.rsyslog.installed and found.rsyslog.active and not found.listens:
        problems.append(
            says(
                en=f"rsyslog does not listen on port {params.port}: nothing is collected",
                zh=f"rsyslog 未监听端口 {params.port}，无法收集日志",
            )
        )
    problems += [*_of_files(found, names, params.max_age_hours), *_of_reach(found, params)]
    assert not problems, says(en="; ".join(p.en for p in problems), zh="；".join(p.zh for p in problems))


def _of_files(found: Collecting, names: list[str], max_age_hours: int) -> Iterator[Text]:
    for name in names:
        file = found.files.get(name)
        if file is None or file.newest is None:
            yield says(en=f"no record of {name} has arrived", zh=f"尚未收到 {name} 的记录")
            continue
        # The server's clock says when a record was made, this host's when the file was written: the older counts.
        hours = (found.rsyslog.now - min(file.newest, file.written)) / 3600
        if hours > max_age_hours:
            yield says(
                en=f"the newest record of {name} is {hours:.0f} hours old, {max_age_hours} at most",
                zh=f"{name} 最近一条记录距今 {hours:.0f} 小时，超过 {max_age_hours} 小时",
            )
        if file.group not in GROUPS:
            yield says(
                en=f"the group of {name}.log is {file.group}, not adm",
                zh=f"{name}.log 属组为 {file.group}，应为 adm",
            )


def _of_reach(found: Collecting, params: Params) -> Iterator[Text]:
    if found.loose:
        paths = ", ".join(found.loose[:5])
        yield says(
            en=f"others than root and adm may read or change: {paths}",
            zh=f"root 与 adm 以外的账户可读取或修改：{paths}",
        )
    if found.filesystem in MEMORY:
        yield says(
            en=f"{params.directory} is kept in memory ({found.filesystem})",
            zh=f"{params.directory} 位于内存文件系统（{found.filesystem}）",
        )
