"""The control groups that hold a host's processes: by them it is stopped for certain, whoever started it."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from medsec.lab import machine
from medsec.lab.errors import LabError
from medsec.text import says

_ATTEMPTS = 10
_LAUNCHERS = "/medsec/lab/launch"


@dataclass(frozen=True)
class Group:
    """The control groups of one host, the same path in each tree."""

    lab: str
    host: str

    @property
    def folders(self) -> tuple[Path, ...]:
        """One folder in each tree, the unified one first."""
        return tuple(root / machine.CGROUP / self.lab / self.host for root in machine.cgroup_folders())

    def make(self) -> None:
        """Make the folders."""
        for folder in self.folders:
            for attempt in range(_ATTEMPTS):
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                    break
                except FileNotFoundError:  # another lab has just taken the common folder away with itself
                    if attempt == _ATTEMPTS - 1:
                        raise

    def inside(self, command: Sequence[str | Path]) -> list[str]:
        """Return a command that enters the groups and then becomes `command`: whatever it starts is counted from the first moment."""
        enter = "".join(f"echo $$ > {shlex.quote(str(folder))}/cgroup.procs; " for folder in self.folders)
        return ["sh", "-c", f'{enter}exec "$@"', "sh", *(str(word) for word in command)]

    def populated(self) -> bool:
        """Tell whether any process is left."""
        try:
            events = (self.folders[0] / "cgroup.events").read_text(encoding="ascii")
        except OSError:  # gone, also in the middle of being removed
            return False
        return "populated 1" in events

    def processes(self, below: str = "") -> list[int]:
        """Return the processes in the group itself, or in the one `below` it, lowest first."""
        try:
            listed = (self.folders[0] / below / "cgroup.procs").read_text(encoding="ascii")
        except OSError:
            return []
        return sorted(int(number) for number in listed.split() if number != "0")

    def kept(self) -> bool:
        """Tell whether the launcher that keeps the host is there; it sits in the group itself, the host below or beside it."""
        return any(_LAUNCHERS in _command(number) for number in self.processes())

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep all processes still for the time of the block."""
        switch = self.folders[0] / "cgroup.freeze"
        switch.write_text("1", encoding="ascii")
        try:
            self._until(lambda: "frozen 1" in (self.folders[0] / "cgroup.events").read_text(encoding="ascii"), 10)
            yield
        finally:
            switch.write_text("0", encoding="ascii")

    def kill(self) -> None:
        """Kill every process and remove the groups; nothing happens where there are none."""
        switch = self.folders[0] / "cgroup.kill"
        if switch.exists():
            doomed = self._members()
            switch.write_text("1", encoding="ascii")
            # A host's first process leaves its group before it has seen all others of the host die.
            self._until(
                lambda: (
                    not self.populated()
                    and not any(machine.process_born(number) == born for number, born in doomed.items())
                ),
                30,
            )
        for folder in self.folders:
            _remove(folder)

    def _members(self) -> dict[int, int]:
        """Return when each process of the group and of those below it started."""
        found = {}
        for folder, _, _ in os.walk(self.folders[0]):  # which passes over groups that vanish meanwhile
            for number in self.processes(os.path.relpath(folder, self.folders[0])):
                if (born := machine.process_born(number)) is not None:
                    found[number] = born
        return found

    def _until(self, true: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                raise LabError(
                    says(
                        en=f"{self.host}: processes in {self.folders[0]} neither stop nor freeze "
                        f"within {seconds:.0f} s: {self.processes()}",
                        zh=f"{self.host}：{self.folders[0]} 中的进程在 {seconds:.0f} 秒内未能停止或冻结：{self.processes()}",
                    )
                )
            time.sleep(0.01)


def labs_present() -> dict[str, list[str]]:
    """Return the labs that have control groups here, each with its hosts."""
    found: dict[str, set[str]] = {}
    for root in machine.cgroup_folders():
        top = root / machine.CGROUP
        for lab in _children(top):
            found.setdefault(lab.name, set()).update(host.name for host in _children(lab))
    return {lab: sorted(hosts) for lab, hosts in sorted(found.items())}


def forget(lab: str) -> None:
    """Remove the empty groups of a lab, and the common one where it was the last."""
    for root in machine.cgroup_folders():
        for folder in (root / machine.CGROUP / lab, root / machine.CGROUP):
            if folder.is_dir() and not _children(folder):
                _rmdir(folder)


def _children(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []


def _remove(folder: Path) -> None:
    for top, folders, _ in os.walk(folder, topdown=False):
        for name in folders:
            _rmdir(Path(top, name))
    _rmdir(folder)


def _rmdir(folder: Path) -> None:
    end = time.monotonic() + 5
    while folder.is_dir():
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # the kernel needs a moment to forget the last process
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def _command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
    except OSError:  # it ended meanwhile
        return ""
