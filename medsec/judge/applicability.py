"""Whether a control speaks of a host: decided from the ledger, before the host is asked."""

from __future__ import annotations

from medsec.catalogue.controls import Control
from medsec.catalogue.selection import applies
from medsec.inventory.hosts import Host
from medsec.text import Text, says


def applies_to(control: Control, host: Host) -> bool:
    """Return whether `control` speaks of `host`, by the host's ledger entry."""
    return _speaks_of(control, host, host.ledger.os_family) and why_not_registered(control, host) is None


def of_another_kind(control: Control, host: Host) -> bool:
    """Return whether `control` is none of the host's whichever OS family that turns out to have.

    On a host that could not be asked, the family is only what the ledger says.
    """
    return not any(_speaks_of(control, host, family) for family in control.applies_to.families)


def _speaks_of(control: Control, host: Host, family: str) -> bool:
    entry, wanted = host.ledger, control.applies_to.registers
    if _beside_the_point(control, host) is not None:
        return False
    registers = () if wanted is None else (wanted,)
    return applies(control, kind=entry.kind, os_family=family, runs=entry.runs, registers=registers)


def _beside_the_point(control: Control, host: Host) -> Text | None:
    """Return why what the control goes by need not be registered on `host` at all, or None."""
    wanted, entry = control.applies_to.registers, host.ledger
    if wanted == "collects_from" and not entry.collects_from:
        # That a server's statements are collected nowhere is told of the server.
        return says(
            en="the ledger registers the host as no collector (collects_from)",
            zh="台账未登记该主机为日志收集主机（collects_from）",
        )
    if wanted in ("collected_by", "price_catalogue") and entry.kind == "server" and not entry.runs:
        return says(
            en="the ledger registers no database on this host (runs)", zh="台账未登记该主机运行数据库（runs）"
        )
    return None


def why_not_applicable(control: Control, host: Host) -> Text | None:
    """Return why `control` does not speak of `host`, by the ledger, or None where it does."""
    if _speaks_of(control, host, host.ledger.os_family):
        return None
    rule, entry = control.applies_to, host.ledger
    if entry.kind not in rule.kinds:
        return says(
            en=f"the host is registered as {entry.kind}; the control speaks of {', '.join(rule.kinds)}",
            zh=f"台账登记该主机类型为 {entry.kind}；本控制项适用于 {'、'.join(rule.kinds)}",
        )
    if entry.os_family not in rule.families:
        return says(
            en=f"the host's system is {entry.os_family}; the control speaks of {', '.join(rule.families)}",
            zh=f"该主机系统为 {entry.os_family}；本控制项适用于 {'、'.join(rule.families)}",
        )
    return _beside_the_point(control, host) or says(
        en=f"the ledger does not register {rule.runs} on this host",
        zh=f"台账未登记该主机运行 {rule.runs}",
    )


_COPIES = says(
    en="the ledger registers no copy of backups here ({}): whether there is one, nobody has looked",
    zh="台账未在此登记备份副本（{}），是否存在副本未予核查",
)
_COLLECTED = says(
    en="the ledger registers no collection of statements here ({}): whether there is one, nobody has looked",
    zh="台账未在此登记数据库审计日志的集中收集（{}），是否已集中收集未予核查",
)
_UNREGISTERED = {
    "copied_to": _COPIES,
    "copies_of": _COPIES,
    "collected_by": _COLLECTED,
    "collects_from": _COLLECTED,
    "price_catalogue": says(
        en="the ledger declares no table of prices or catalogues here ({}): none is watched",
        zh="台账未在此登记价表、医保目录表（{}），未予监测",
    ),
    "administrators": says(
        en="the ledger registers no persons behind the administrators' accounts here ({}): whose powers are apart, nobody has looked",
        zh="台账未在此登记各类管理员对应的人员（{}），权限是否分离未予核查",
    ),
}


def why_not_registered(control: Control, host: Host) -> Text | None:
    """Return why `control` has nothing to go by on `host`, though it speaks of such hosts; None where the ledger tells it."""
    wanted = control.applies_to.registers
    if wanted is None or wanted in host.ledger.registers:
        return None
    why = _UNREGISTERED[wanted]
    return says(en=why.en.format(wanted), zh=why.zh.format(wanted))
