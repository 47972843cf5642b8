"""Asks systemd for the listed services, /proc for their programs, and the kernel for every listening socket."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes.listeners import Listeners, is_client, listeners, problem
from medsec.probes.units import units
from medsec.text import says


def check(host: Host, params: Params) -> None:
    found = [*_services(host, params), *_sockets(listeners(host), params)]
    assert not found, says(en="; ".join(en for en, _ in found), zh="；".join(zh for _, zh in found))


def _services(host: Host, params: Params) -> Iterator[tuple[str, str]]:
    for unit in units(host, params.services):
        if unit.runs:
            yield f"{unit.name} is {unit.active}", f"{unit.name} 正在运行（{unit.active}）"
        elif unit.would_start and unit.enabled == "masked-runtime":
            yield f"{unit.name} is masked until the next boot only", f"{unit.name} 仅为临时屏蔽，重启后失效"
        elif unit.would_start:
            by = ", ".join(unit.started_by) or unit.enabled
            yield (
                f"{unit.name} is not running and would be started by {by}",
                f"{unit.name} 未运行，但会由 {by} 启动",
            )


def _sockets(found: Listeners, params: Params) -> Iterator[tuple[str, str]]:
    for holder in found.running:
        if posixpath.basename(holder.program) in params.programs:
            what = f"{holder.program} (pid {holder.pid}, {holder.unit or '-'})"
            yield f"{what} is running", f"{what} 正在运行"
    running = {posixpath.basename(holder.program) for holder in found.running}
    for starter, program in found.starts:
        name = posixpath.basename(program)
        told = starter.removesuffix(".service") in params.services or name in running
        if name in params.programs and not told:
            yield (
                f"{starter} starts {program} at boot, though it is not running now",
                f"{starter} 将在系统启动时运行 {program}（当前未运行）",
            )
    for listener in found.at_boot:
        wrong = problem(listener, params.listens)
        if wrong:
            yield f"after the next boot: {wrong[0]}", f"下次启动后：{wrong[1]}"
    for listener in found.sockets:
        wrong = problem(listener, params.listens)
        if wrong and not is_client(listener, found, params.client_programs):
            yield wrong
