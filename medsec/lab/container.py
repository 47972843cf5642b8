"""Hosts of the container tier: systemd as PID 1 over a shared read-only image, started in about a second."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medsec.lab import machine, seed
from medsec.lab.backend import State, await_banner
from medsec.lab.cgroups import Group
from medsec.lab.definition import HostSpec
from medsec.lab.errors import LabError
from medsec.lab.place import Place
from medsec.text import says

_LAUNCHER = Path(__file__).resolve().parent / "launch.sh"
_BOOT_SECONDS = 120
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Container:
    """One container host of a lab."""

    place: Place
    name: str
    spec: HostSpec

    @property
    def group(self) -> Group:
        """The control groups of its processes."""
        return Group(self.place.id, self.name)

    @property
    def upper(self) -> Path:
        """What the host has changed, file by file, since it was made."""
        return self.place.disk(self.name) / "upper"

    def prepare(self) -> None:
        """Build the images that are missing."""
        self.place.images.lower(self.spec)

    def state(self) -> State:
        """Return `stopped`, `running`, or `orphaned`: its processes live on without the launcher that keeps it."""
        if not self.group.populated():
            return "stopped"
        return "running" if self.group.kept() else "orphaned"

    def leader(self) -> int:
        """Return the process number, on this machine, of the host's systemd. Raises LabError where it is not up."""
        first = self._first()
        if first is None:
            raise LabError(
                says(
                    en=f"{self.name} is not running; start it: medsec lab up {self.name}",
                    zh=f"{self.name} 未运行；请先启动：medsec lab up {self.name}",
                )
            )
        return first

    def _first(self) -> int | None:
        # What systemd is about to start stands beside it in its group for a moment.
        return next(
            (process for process in self.group.processes("payload/init.scope") if _is_first(process)), None
        )

    def make(self, names: Mapping[str, Sequence[str]], keys: seed.Keys) -> None:
        """Give the host a new, empty disk with its name, addresses and keys."""
        shutil.rmtree(self.place.disk(self.name), ignore_errors=True)
        self.upper.mkdir(parents=True)
        lower = self.place.images.lower(self.spec)
        seed.sow(self.upper, lower, seed.files(self.name, self.spec, self.place.network, names, keys))

    def made(self) -> bool:
        """Tell whether the host has a disk."""
        return self.upper.is_dir()

    def start(self) -> None:
        """Boot from the disk that is there; return when the host is ready."""
        self.kill()
        self._launch()
        self.await_ready()

    def await_ready(self) -> None:
        """Wait until sshd answers and systemd has finished booting."""
        await_banner(self.place, self.name, self.spec, _BOOT_SECONDS)
        self.run_as_root("systemctl is-system-running --wait || true\n", timeout=_BOOT_SECONDS)

    def _launch(self) -> None:
        disk = self.place.disk(self.name)
        shutil.rmtree(
            disk / "work", ignore_errors=True
        )  # a volatile overlay refuses the work folder of another mount
        for folder in (disk / "work", disk / "root"):
            folder.mkdir(exist_ok=True)
        self.group.make()
        links = [
            f"{link.outer},{link.inner},{link.mac},{link.bridge}" for link in self.place.network.links(self.spec)
        ]
        with self.place.console(self.name).open("wb") as console:
            # --fork: nobody waits for it, so that it is not the child of the process that asked for the host.
            subprocess.run(
                self.group.inside(
                    [
                        "setsid",
                        "--fork",
                        _LAUNCHER,
                        self.name,
                        disk,
                        ":".join(str(folder) for folder in self.place.images.lower(self.spec)),
                        self.place.images.repository(self.spec.suite) / "debs",
                        ":".join(str(folder) for folder in self.group.folders),
                        *links,
                    ]
                ),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env=machine.environment(),
                check=True,
            )

    def run_as_root(self, script: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a shell script inside the host as root, past SSH; `timeout` in seconds.

        For staging violations only: nothing that the product does may depend on it. The exit code is the caller's to read.
        Raises LabError where the host does not run or the script does not end.
        """
        groups = [folder / "payload" for folder in self.group.folders]
        joins = "".join(f"echo $$ > {shlex.quote(str(folder))}/cgroup.procs; " for folder in groups)
        enter = (
            f"exec nsenter --all --target {self.leader()} env -i PATH={_PATH} HOME=/root LANG=C.UTF-8 /bin/sh -s"
        )
        try:
            return subprocess.run(
                ["sh", "-c", joins + enter],
                input=script,
                capture_output=True,
                text=True,
                timeout=timeout,
                env=machine.environment(),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(
                says(
                    en=f"{self.name}: a script run as root did not end within {timeout:.0f} s: {script[:200]!r}",
                    zh=f"{self.name}：以 root 运行的脚本在 {timeout:.0f} 秒内未结束：{script[:200]!r}",
                )
            ) from error

    def stop(self, seconds: float = 30) -> None:
        """Power the host off as its button would, and keep what it changed; after `seconds` pull the plug."""
        first = self._first()
        if first is not None and self.state() == "running":
            os.kill(first, signal.SIGRTMIN + 4)
            end = time.monotonic() + seconds
            while self.group.populated() and time.monotonic() < end:
                time.sleep(0.02)
        self.kill()

    def kill(self) -> None:
        """Stop the host at once, with everything that belongs to it; its changes stay on the disk."""
        self.group.kill()

    def reset(self, names: Mapping[str, Sequence[str]], keys: seed.Keys) -> None:
        """Make the host anew and boot it."""
        self.kill()
        self.make(names, keys)
        self.start()

    def save(self, label: str) -> None:
        """Copy the host's disk aside while the host holds still."""
        self.leader()  # refuses a host that is not running
        with self.group.frozen():
            seed.copy_tree(self.upper, self.place.snapshot(self.name, label))

    def saved(self) -> list[str]:
        """Return the labels of the copies that are kept."""
        folder = self.place.snapshots(self.name)
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []

    def restore(self, label: str) -> None:
        """Boot the host from the copy kept as `label`."""
        self.kill()
        seed.copy_tree(self.place.snapshot(self.name, label), self.upper)
        self.start()


def _is_first(process: int) -> bool:
    """Tell whether `process` is number 1 in its own namespace."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    numbers = next(line for line in status.splitlines() if line.startswith("NSpid:"))
    return numbers.split()[-1] == "1"
