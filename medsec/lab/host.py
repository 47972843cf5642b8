"""A host of the lab as its users see it: a name, an address, and SSH."""

from __future__ import annotations

import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from medsec.lab import seed
from medsec.lab.container import Container
from medsec.lab.definition import HostSpec
from medsec.lab.errors import LabError
from medsec.lab.place import Place
from medsec.text import says


@dataclass(frozen=True)
class LabHost:
    """One host of a lab: how it is reached, and what it changed."""

    name: str
    spec: HostSpec
    place: Place

    @property
    def kind(self) -> str:
        """Terminal, server, db, backup or gateway."""
        return self.spec.kind

    @property
    def zone(self) -> str:
        """The zone of the address that it is reached at."""
        return self.spec.zone

    @property
    def address(self) -> str:
        """Its IPv4 address, in its first zone."""
        return self.place.network.ipv4(self.zone, self.spec.number)

    @property
    def ipv6(self) -> str:
        """Its IPv6 address, in its first zone."""
        return self.place.network.ipv6(self.zone, self.spec.number)

    @property
    def addresses(self) -> tuple[str, ...]:
        """All its addresses, IPv4 and IPv6, zone after zone."""
        return tuple(address for link in self.place.network.links(self.spec) for address in (link.ipv4, link.ipv6))

    @property
    def user(self) -> str:
        """The administrator's account: not root, and allowed to use sudo."""
        return seed.ADMIN

    @property
    def container(self) -> Container:
        """The container behind the host. Raises LabError for a virtual machine."""
        if self.spec.tier != "container":
            raise LabError(
                says(
                    en=f"{self.name} is a virtual machine, this needs a host of tier container",
                    zh=f"{self.name} 是虚拟机，此操作仅适用于容器主机（tier: container）",
                )
            )
        return Container(self.place, self.name, self.spec)

    @property
    def upper(self) -> Path:
        """What the host has changed since it was made, as files: the upper folder of its overlay.

        A removed file is there as a character device 0/0. Raises LabError for a virtual machine.
        """
        return self.container.upper

    def ssh(self, command: str, input: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run `command` on the host over SSH as `admin`, feeding it `input`; `timeout` in seconds.

        The exit code is the caller's to read; 255 is ssh's own. Raises LabError where it does not end in time.
        """
        words = [
            "ssh",
            "-F",
            str(self.place.ssh_config),
            "-o",
            "BatchMode=yes",
            "-o",
            "ConnectTimeout=10",
            self.name,
        ]
        try:
            return subprocess.run(
                [*words, "--", command],
                input=input if input is not None else "",
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(
                says(
                    en=f"{self.name}: {command[:200]!r} did not end within {timeout:.0f} s over SSH",
                    zh=f"{self.name}：命令 {command[:200]!r} 通过 SSH 执行，{timeout:.0f} 秒内未结束",
                )
            ) from error

    def run_as_root(self, script: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a shell script as root past SSH, to stage a violation; nothing else may use it. See Container.run_as_root."""
        return self.container.run_as_root(script, timeout)

    def answers(self, seconds: float) -> None:
        """Wait until sshd sends its banner. Raises LabError with the end of the console after `seconds`."""
        end = time.monotonic() + seconds
        while not _banner(self.address):
            if time.monotonic() > end or not self.container.group.populated():
                raise LabError(self._silent(seconds))
            time.sleep(0.03)

    def _silent(self, seconds: float) -> str:
        console = self.place.console(self.name)
        last = console.read_text(encoding="utf-8", errors="replace")[-1500:] if console.is_file() else ""
        return says(
            en=f"{self.name} ({self.address}) did not answer on port 22 within {seconds:.0f} s; "
            f"the end of its console ({console}):\n{last}",
            zh=f"{self.name}（{self.address}）在 {seconds:.0f} 秒内 22 端口无应答；控制台末尾内容（{console}）：\n{last}",
        )


def _banner(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
