"""What of the guard a site may differ in: variables of its inventory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from medsec.errors import UsageError
from medsec.inventory import Host
from medsec.text import says


@dataclass(frozen=True)
class Settings:
    """How long a risky change may stay unconfirmed, in seconds, and of how many runs a host keeps the copies."""

    seconds: int = 90
    keep: int = 10


_RANGES = {"seconds": range(20, 3601), "keep": range(1, 1001)}


def settings(host: Host) -> Settings:
    """Return the settings for `host`: the variables `medsec_guard_seconds` and `medsec_guard_keep` over the defaults.

    Raises UsageError naming host, variable, value met and values accepted.
    """
    given: dict[str, Any] = {}
    for name, accepted in _RANGES.items():
        variable = f"medsec_guard_{name}"
        if variable in host.variables:
            value = host.variables[variable]
            if isinstance(value, bool) or not isinstance(value, int) or value not in accepted:
                raise UsageError(
                    says(
                        en=f"host {host.name}: {variable}: {value!r}; a whole number from {accepted.start} to {accepted.stop - 1} is accepted",
                        zh=f"主机 {host.name}：{variable}：{value!r}；可取 {accepted.start} 至 {accepted.stop - 1} 的整数",
                    )
                )
            given[name] = value
    return Settings(**given)
