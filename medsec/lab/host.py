"""A host of the lab as its users see it: a name, an address, and SSH."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from medsec.lab import seed
from medsec.lab.backend import Backend
from medsec.lab.container import Container
from medsec.lab.definition import HostSpec
from medsec.lab.errors import LabError
from medsec.lab.place import Place
from medsec.lab.virtual import VirtualMachine
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
    def backend(self) -> Backend:
        """What runs the host."""
        kind = VirtualMachine if self.spec.tier == "vm" else Container
        return kind(self.place, self.name, self.spec)

    @property
    def virtual(self) -> VirtualMachine:
        """The virtual machine behind the host, for plugging in devices. Raises LabError for a container."""
        if isinstance(self.backend, VirtualMachine):
            return self.backend
        raise LabError(
            says(
                en=f"{self.name} is a container, this needs a host of tier vm, such as kernel-1",
                zh=f"{self.name} 是容器主机，此操作仅适用于虚拟机（tier: vm），例如 kernel-1",
            )
        )

    @property
    def upper(self) -> Path:
        """What the host has changed since it was made, as files: the upper folder of its overlay.

        A removed file is there as a character device 0/0. Raises LabError for a virtual machine.
        """
        if isinstance(self.backend, Container):
            return self.backend.upper
        raise LabError(
            says(
                en=f"{self.name} is a virtual machine: what it changed is only known inside; use a host of tier container",
                zh=f"{self.name} 是虚拟机，其改动无法从外部查看；请使用容器主机（tier: container）",
            )
        )

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
            "ConnectTimeout=30",
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
        """Run a shell script as root, in a container past SSH; `timeout` in seconds.

        For staging violations only: nothing that the product does may depend on it. The exit code is the caller's to read.
        Raises LabError where the host does not run or the script does not end.
        """
        return self.backend.run_as_root(script, timeout)
