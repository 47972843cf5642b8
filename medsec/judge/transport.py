"""How the judge reaches a host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from medsec.errors import ProbeError
from medsec.inventory.hosts import Host
from medsec.judge.recording import ConnectedHost
from medsec.text import says


class Transport(Protocol):
    """A way to hosts. One that gathers what many checks ask in few round trips fits the same shape."""

    def connect(self, host: Host) -> ConnectedHost:
        """Return a Testinfra host whose commands run as root on `host`.

        Raises HostUnreachable when it does not answer, refuses the key, or shows another host key than the known one.
        """
        ...


@dataclass(frozen=True)
class Limits:
    """How long the judge waits, in seconds, and how much it reads, in bytes."""

    connect: float = 15
    command: float = 60
    # What all commands of one check may take; three commands' time where it is not set.
    check: float | None = None
    output: int = 4 * 1024 * 1024

    @property
    def check_seconds(self) -> float:
        return 3 * self.command if self.check is None else self.check


class CommandStopped(ProbeError):
    """A command ran too long or wrote too much, and was stopped."""


def too_long(command: str, seconds: float) -> CommandStopped:
    """Make the error for a command that gave no answer within `seconds`."""
    return CommandStopped(
        says(
            en=f"`{command:.80}` gave no answer within {seconds:.0f} s and was stopped; "
            "look at the host's load and storage, or raise --command-timeout",
            zh=f"`{command:.80}` 在 {seconds:.0f} 秒内未返回结果，已中止；请检查主机负载与存储，或调大 --command-timeout",
        )
    )


def too_much(command: str, limit: int) -> CommandStopped:
    """Make the error for a command that wrote more than `limit` bytes."""
    return CommandStopped(
        says(
            en=f"`{command:.80}` wrote more than {limit} bytes and was stopped; its answer cannot be judged",
            zh=f"`{command:.80}` 的输出超过 {limit} 字节，已中止；无法据此判定",
        )
    )
