"""Units of systemd: which of some run, and which would be started by boot, a socket or another unit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import says

_ASKED = ("Id", "LoadState", "ActiveState", "UnitFileState", "WantedBy", "RequiredBy", "TriggeredBy")
_RUNNING = frozenset({"active", "activating", "reloading", "refreshing"})
_KINDS = ("service", "socket", "path", "timer")


@dataclass(frozen=True)
class Unit:
    """One unit as `systemctl show` has it."""

    name: str
    load: str
    active: str
    enabled: str
    # Units that want, require or trigger it, and those of them that run or will run.
    asked_for_by: tuple[str, ...]
    started_by: tuple[str, ...] = ()

    @property
    def runs(self) -> bool:
        return self.active in _RUNNING

    @property
    def would_start(self) -> bool:
        """Whether something starts the unit without anybody's doing; a unit masked for good cannot be started at all."""
        if self.enabled == "masked-runtime":  # the next boot knows nothing of that mask
            return True
        return self.load not in ("masked", "not-found") and (
            self.enabled.startswith("enabled") or bool(self.started_by)
        )


def units(host: Host, names: Iterable[str]) -> list[Unit]:
    """Return the units called `names` (without suffix) that `host` has: services, sockets, paths and timers.

    Raises ProbeError where systemd does not answer.
    """
    asked = [f"{name}.{kind}" for name in names for kind in _KINDS]
    if not asked:
        raise ProbeError(
            says(en="the list of services to look for is empty", zh="待核查的服务清单为空，请检查参数 services")
        )
    found = _shown(host, asked)
    # What asks for one of them counts when it runs or will run itself; of those asked for, each is judged for itself.
    others = sorted({name for unit in found for name in unit.asked_for_by} - set(asked))
    live = {unit.name for unit in (_shown(host, others) if others else []) if unit.runs or unit.would_start}
    return [replace(unit, started_by=tuple(name for name in unit.asked_for_by if name in live)) for unit in found]


def _shown(host: Host, asked: Sequence[str]) -> list[Unit]:
    properties = " ".join(f"--property={name}" for name in _ASKED)
    done = host.run("LC_ALL=C systemctl show " + properties + " --" + " %s" * len(asked), *asked)
    if done.rc != 0:
        raise ProbeError(
            says(
                en=f"systemctl show does not answer (exit code {done.rc}): {done.stderr.strip()[-300:]}",
                zh=f"systemctl show 无应答（退出码 {done.rc}）：{done.stderr.strip()[-300:]}",
            )
        )
    return parse(done.stdout, expected=len(asked))


def parse(answer: str, expected: int) -> list[Unit]:
    """Return the units of an answer of `systemctl show` that exist. Raises ProbeError unless it tells of all asked."""
    blocks = [
        dict(line.partition("=")[::2] for line in block.splitlines()) for block in answer.strip().split("\n\n")
    ]
    if len(blocks) != expected or any("LoadState" not in block for block in blocks):
        raise ProbeError(
            says(
                en=f"systemctl show told of {len(blocks)} units, {expected} were asked for",
                zh=f"systemctl show 返回 {len(blocks)} 个单元，应为 {expected} 个",
            )
        )
    found = [
        Unit(
            name=block["Id"],
            load=block["LoadState"],
            active=block["ActiveState"],
            enabled=block["UnitFileState"],
            asked_for_by=tuple(f"{block['WantedBy']} {block['RequiredBy']} {block['TriggeredBy']}".split()),
        )
        for block in blocks
    ]
    return [unit for unit in dict.fromkeys(found) if unit.load != "not-found" or unit.runs]
