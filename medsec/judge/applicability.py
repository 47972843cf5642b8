"""Whether a control speaks of a host: decided from the ledger, before the host is asked."""

from __future__ import annotations

from medsec.catalogue.controls import Control
from medsec.catalogue.selection import applies
from medsec.inventory.hosts import Host
from medsec.text import Text, says


def applies_to(control: Control, host: Host) -> bool:
    """Return whether `control` speaks of `host`, by the host's ledger entry."""
    return _speaks_of(control, host, host.ledger.os_family)


def of_another_kind(control: Control, host: Host) -> bool:
    """Return whether `control` is none of the host's whichever OS family that turns out to have.

    On a host that could not be asked, the family is only what the ledger says.
    """
    return not any(_speaks_of(control, host, family) for family in control.applies_to.families)


def _speaks_of(control: Control, host: Host, family: str) -> bool:
    entry = host.ledger
    return applies(control, kind=entry.kind, os_family=family, runs=entry.runs, registers=entry.registers)


def why_not_applicable(control: Control, host: Host) -> Text | None:
    """Return why `control` does not speak of `host`, by the ledger, or None where it does."""
    if applies_to(control, host):
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
    if rule.registers is not None and rule.registers not in entry.registers:
        return says(
            en=f"the ledger registers no copy of backups here ({rule.registers}): nothing is said of copies",
            zh=f"台账未在此登记备份副本（{rule.registers}），因此不对副本作出判定",
        )
    return says(
        en=f"the ledger does not register {rule.runs} on this host",
        zh=f"台账未登记该主机运行 {rule.runs}",
    )
