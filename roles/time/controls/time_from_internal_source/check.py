"""Asks the time daemon itself what it follows, and what it would follow after its next start."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes import scheduled
from medsec.probes.clock import Clock, Following, clock
from medsec.text import says

Finding = tuple[str, str]


def check(host: Host, params: Params) -> None:
    serves = params.address in params.sources
    found = clock(host, params.zone, _served(params) if serves else [])
    registered = set(params.upstream if serves else params.sources)
    problems = [*_daemons(found), *_zone(found, params.zone)]
    for following in found.following:
        problems += _following(following, registered, params.max_offset_ms)
    if serves:
        problems += [
            (
                f"{address} is registered to get its time here and is refused",
                f"台账登记由本机授时的 {address} 被拒绝",
            )
            for address in found.refused
        ]
    problems += [
        (f"a scheduled job sets the clock; remove it: {job}", f"存在设置系统时间的计划任务，请予删除：{job}")
        for job in scheduled.jobs(host)
        if scheduled.sets_clock(job)
    ]
    assert not problems, says(en="; ".join(en for en, _ in problems), zh="；".join(zh for _, zh in problems))


def _served(params: Params) -> list[str]:
    """Return one address of each network that the ledger lets ask this host for the time."""
    names = [
        name
        for entry in params.listens
        if (entry["protocol"], entry["port"]) == ("udp", 123)
        for name in entry["sources"]
        if name != "local"
    ]
    networks = [ipaddress.ip_network(text) for name in dict.fromkeys(names) for text in params.address_sets[name]]
    return [str(network.broadcast_address) for network in networks]


def _daemons(found: Clock) -> Iterator[Finding]:
    active = [service for service in found.services if service.active]
    for service in found.services:
        if service.enabled and not service.active and len(found.services) > 1:
            yield (
                f"{service.name} is enabled beside another time service",
                f"{service.name} 已设为自启，与其他对时服务并存",
            )
    if not active:
        states = ", ".join(service.name for service in found.services) or "none is installed"
        yield f"no time service runs ({states})", f"没有运行中的对时服务（{states}）"
    if len(active) > 1:
        names = ", ".join(service.name for service in active)
        yield f"several time services run: {names}", f"同时运行多个对时服务：{names}"
    for service in active:
        if not service.enabled:
            yield f"{service.name} is not started at boot", f"{service.name} 未设为随系统启动"
    known = {service.name for service in active}
    for daemon in found.daemons:
        if daemon.unit not in known:
            what = f"{daemon.program} (pid {daemon.pid}, {daemon.unit or '-'})"
            yield f"another time program runs beside the service: {what}", f"服务之外另有对时程序运行：{what}"
        elif daemon.hands_off and not found.in_container:
            yield (
                f"{daemon.program} (pid {daemon.pid}) runs with -x: it measures and never corrects the clock",
                f"{daemon.program}（进程 {daemon.pid}）以 -x 方式运行，只测量偏差、不校正时间",
            )
    followed = {following.daemon for following in found.following}
    for service in active:
        if service.name.removesuffix(".service").replace("chronyd", "chrony") not in followed:
            yield (
                f"{service.name} is not a time service that can be judged; use chrony or systemd-timesyncd",
                f"无法核查 {service.name} 的对时来源，请改用 chrony 或 systemd-timesyncd",
            )


def _following(following: Following, registered: set[str], max_offset_ms: int) -> Iterator[Finding]:
    name = following.daemon
    for sources, when_en, when_zh in (
        (following.sources, "follows", "当前"),
        (following.configured, "is set to follow, at its next start,", "重启后将"),
    ):
        strangers = sorted(set(sources) - registered)
        if strangers:
            yield (
                f"{name} {when_en} sources that the ledger does not register: {', '.join(strangers)}",
                f"{name} {when_zh}使用台账未登记的授时源：{'、'.join(strangers)}",
            )
        elif not sources and registered:
            yield f"{name} {when_en} no source at all", f"{name} {when_zh}没有任何授时源"
    if not following.synchronised or (registered and not following.selected):
        yield (
            f"the clock is not synchronised: {name} follows none of {', '.join(following.sources) or '-'} at present",
            f"系统时间未同步：{name} 未能与 {'、'.join(following.sources) or '任何授时源'} 同步",
        )
    elif following.offset_ms is None or following.offset_ms > max_offset_ms:
        shown = "unknown" if following.offset_ms is None else f"{following.offset_ms:.0f} ms"
        yield (
            f"the clock deviates from its source by {shown}, at most {max_offset_ms} ms are accepted",
            f"系统时间与授时源偏差 {shown}，上限为 {max_offset_ms} ms",
        )


def _zone(found: Clock, zone: str) -> Iterator[Finding]:
    if not found.zone_known:
        yield f"the time zone {zone} is not known to this host", f"本机没有时区 {zone} 的数据"
    elif not found.zone_right:
        yield (
            f"the time zone is not {zone} (now {found.zone_shown})",
            f"时区不是 {zone}（当前为 {found.zone_shown}）",
        )
