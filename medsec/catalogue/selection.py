"""Which controls a command speaks of, and whether one applies to a host."""

from __future__ import annotations

from collections.abc import Iterable

from medsec.catalogue.controls import Control, Controls
from medsec.errors import UsageError
from medsec.text import says


def select(
    controls: Controls,
    *,
    ids: Iterable[str] = (),
    items: Iterable[str] = (),
    tags: Iterable[str] = (),
) -> list[Control]:
    """Return the controls that are named by id, by item (`NW-10`) or by tag (a family, an item or an id).

    All of them when nothing is named. Raises UsageError for a name that matches nothing, since an empty selection
    would look like success.
    """
    wanted: set[str] = {controls[control_id].id for control_id in ids}
    for item in items:
        wanted |= _named(
            item, [c.id for c in controls.values() if c.item == item], [c.item for c in controls.values()]
        )
    for tag in tags:
        known = [name for c in controls.values() for name in (c.family, c.item, c.id)]
        wanted |= _named(tag, [c.id for c in controls.values() if tag in (c.family, c.item, c.id)], known)
    if not (wanted or list(ids) or list(items) or list(tags)):
        return list(controls.values())
    return [control for control in controls.values() if control.id in wanted]


def _named(name: str, found: list[str], known: list[str]) -> set[str]:
    if not found:
        choices = ", ".join(sorted(set(known)))
        raise UsageError(
            says(
                en=f"{name!r} matches no control; accepted: {choices}",
                zh=f"{name!r} 未对应任何控制项；可用：{choices}",
            )
        )
    return set(found)


def applies(control: Control, *, kind: str, os_family: str, runs: Iterable[str], registers: Iterable[str]) -> bool:
    """Return whether `control` speaks of a host of this kind and OS family that runs and registers this."""
    rule = control.applies_to
    if kind not in rule.kinds or os_family not in rule.families:
        return False
    return (rule.runs is None or rule.runs in runs) and (rule.registers is None or rule.registers in registers)
