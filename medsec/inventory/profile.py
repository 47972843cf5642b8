"""A profile's selection of controls: the variable `medsec_controls` of a group or host."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from medsec.catalogue.controls import Control, Controls
from medsec.errors import UsageError
from medsec.inventory.hosts import Host, Inventory
from medsec.inventory.loading import SITE_FORKS
from medsec.inventory.passwords import SOURCE
from medsec.text import Text, says

VARIABLE = "medsec_controls"
_OURS = "medsec_"
# `medsec_site_forks` is a group's and read in `medsec.inventory.loading`, the guard's are read in `medsec.guard.settings`,
# the last one in `medsec.inventory.passwords`.
_KNOWN = (VARIABLE, SITE_FORKS, "medsec_guard_seconds", "medsec_guard_keep", SOURCE)


def why_not_selected(control: Control, host: Host) -> Text | None:
    """Return why the host's profile leaves `control` out, or None where it is selected.

    Without `medsec_controls` every control is selected. Its entries are ids, families, items or globs (`*`, `?`);
    `!` before one leaves out, and what is left out stays out whatever else names it. With `!` entries alone, all
    others are selected.
    """
    if VARIABLE not in host.variables:
        return None
    names = (control.id, control.family, control.item)
    entries = _entries(host)
    wanted = [entry for entry in entries if not entry.startswith("!")]
    unwanted = next((entry for entry in entries if entry.startswith("!") and _names(entry[1:], names)), None)
    if unwanted is not None:
        return says(
            en=f"not selected for this host: {VARIABLE} says {unwanted}",
            zh=f"本单位未选用：该主机的 {VARIABLE} 含 {unwanted}",
        )
    if wanted and not any(_names(entry, names) for entry in wanted):
        return says(
            en=f"not selected for this host: {VARIABLE} names {', '.join(wanted)}",
            zh=f"本单位未选用：该主机的 {VARIABLE} 仅含 {'、'.join(wanted)}",
        )
    return None


def check_profiles(inventory: Inventory, controls: Controls) -> None:
    """Refuse a selection that would not do what it seems to say.

    Raises UsageError naming the host, the variable, the value met and the values accepted: for an entry that names no
    control, a value that is no list of names, an empty list, and a variable that medsec does not know.
    """
    for host in inventory.hosts.values():
        for variable in host.variables:
            if variable.startswith(_OURS) and variable not in _KNOWN:
                raise UsageError(
                    says(
                        en=f"host {host.name}: {variable} is no variable of medsec; accepted: {', '.join(_KNOWN)}",
                        zh=f"主机 {host.name}：medsec 没有变量 {variable}；可用：{'、'.join(_KNOWN)}",
                    )
                )
        for entry in _entries(host):
            _refuse_unknown(entry, host, controls)
        value = host.variables.get(VARIABLE)
        if value == [] or all(why_not_selected(control, host) for control in controls.values()):
            raise UsageError(
                says(
                    en=f"host {host.name}: {VARIABLE} {value!r} leaves no control; name some, or take the variable away",
                    zh=f"主机 {host.name}：{VARIABLE} 取值 {value!r} 未留下任何控制项；请列出控制项，或删去该变量",
                )
            )


def _refuse_unknown(entry: str, host: Host, controls: Controls) -> None:
    pattern = entry.removeprefix("!")
    if any(_names(pattern, (control.id, control.family, control.item)) for control in controls.values()):
        return
    families = ", ".join(controls.families)
    raise UsageError(
        says(
            en=f"host {host.name}: {VARIABLE}: {entry!r} names no control; accepted: ids ({', '.join(controls)}), "
            f"families ({families}), items, globs, and `!` before any of them",
            zh=f"主机 {host.name}：{VARIABLE} 中的 {entry!r} 未对应任何控制项；可用：控制项编号（{'、'.join(controls)}）、"
            f"类别（{families}）、检查项、通配符，前加 `!` 表示排除",
        )
    )


def _entries(host: Host) -> Sequence[str]:
    value: Any = host.variables.get(VARIABLE, [])
    if isinstance(value, list) and all(isinstance(entry, str) and entry.strip("! ") for entry in value):
        return value
    raise UsageError(
        says(
            en=f"host {host.name}: {VARIABLE} must be a list of controls, families or globs, got {value!r}",
            zh=f"主机 {host.name}：{VARIABLE} 应为控制项、类别或通配符的列表，实际为 {value!r}",
        )
    )


def _names(pattern: str, names: Iterable[str]) -> bool:
    regex = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return any(re.fullmatch(regex, name) for name in names)
