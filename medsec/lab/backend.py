"""What every kind of host can do, so that the lab needs not know which kind it is."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from medsec.lab.cgroups import Group
from medsec.lab.definition import HostSpec
from medsec.lab.errors import LabError
from medsec.lab.place import Place
from medsec.lab.seed import Keys
from medsec.text import says

_BANNER_SECONDS = 30

State = Literal["stopped", "running", "orphaned"]


class Backend(Protocol):
    """One host: made, started, stopped, copied. Each method raises LabError where the host does not do it."""

    def prepare(self) -> None:
        """Build the images that are missing."""

    def state(self) -> State:
        """Return `stopped`, `running`, or `orphaned`: it lives on without the launcher that keeps it."""

    def make(self, names: Mapping[str, Sequence[str]], keys: Keys) -> None:
        """Give the stopped host a new, empty disk; `names` maps all hosts to their addresses."""

    def made(self) -> bool:
        """Tell whether the host has a disk."""

    def start(self) -> None:
        """Boot from the disk that is there; return when the host is ready."""

    def await_ready(self) -> None:
        """Wait until the host, which was started, answers and has finished booting."""

    def stop(self) -> None:
        """Power off as the button would, and keep the disk."""

    def kill(self) -> None:
        """Stop at once, with everything that belongs to it."""

    def reset(self, names: Mapping[str, Sequence[str]], keys: Keys) -> None:
        """Bring the host back to how it was when it first came up."""

    def save(self, label: str) -> None:
        """Keep what the running host is, as `label`."""

    def saved(self) -> list[str]:
        """Return the labels that are kept."""

    def restore(self, label: str) -> None:
        """Bring the host back to what was kept as `label`."""

    def run_as_root(self, script: str, timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a shell script as root, to stage a violation."""


def await_banner(place: Place, name: str, spec: HostSpec, seconds: float) -> None:
    """Wait until a host's sshd sends its banner. Raises LabError with the end of its console after `seconds`."""
    address = place.network.ipv4(spec.zone, spec.number)
    group = Group(place.id, name)
    end = time.monotonic() + seconds
    while not _banner(address):
        if not group.populated():
            raise LabError(_ended(place, name))
        if time.monotonic() > end:
            raise LabError(_silent(place, name, address, seconds))
        time.sleep(0.03)


def _banner(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=1) as connection:
            # Patience with one connection: a slow sshd that is asked again and again refuses everybody (MaxStartups).
            connection.settimeout(_BANNER_SECONDS)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _silent(place: Place, name: str, address: str, seconds: float) -> str:
    return says(
        en=f"{name} ({address}) did not answer on port 22 within {seconds:.0f} s; "
        f"the end of its console ({place.console(name)}):\n{_last_words(place, name)}",
        zh=f"{name}（{address}）在 {seconds:.0f} 秒内 22 端口无应答；控制台末尾内容（{place.console(name)}）：\n{_last_words(place, name)}",
    )


def _ended(place: Place, name: str) -> str:
    return says(
        en=f"{name} stopped while it booted; the end of its console ({place.console(name)}):\n{_last_words(place, name)}",
        zh=f"{name} 在启动过程中停止；控制台末尾内容（{place.console(name)}）：\n{_last_words(place, name)}",
    )


def _last_words(place: Place, name: str) -> str:
    console = place.console(name)
    return console.read_text(encoding="utf-8", errors="replace")[-1500:] if console.is_file() else ""
