"""What the deploy of the host firewall asks a host."""

from __future__ import annotations

from pyinfra.api import FactBase

from medsec.packetfilter.host_rules import HostRules, question, read
from medsec.resources import root


class PacketFilter(FactBase[HostRules | None]):
    """The packet filter as it is and as the next boot makes it; None where nft is not installed."""

    def command(self) -> str:
        return question()

    def process(self, output: list[str]) -> HostRules | None:
        return read("\n".join(output))


class OperatorConnection(FactBase[str]):
    """Where the operator's own SSH connection comes from: his address and the host's port; empty without one."""

    def command(self) -> str:
        return (root() / "roles/firewall/files/operator.sh").read_text(encoding="utf-8")

    def process(self, output: list[str]) -> str:
        return "\n".join(output)
