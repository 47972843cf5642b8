"""Judges the packet filter that is in force, and the one that the next boot loads, against the ledger."""

from __future__ import annotations

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes.packet_filter import deviations
from medsec.text import says


def check(host: Host, params: Params) -> None:
    found = deviations(host, params)
    assert not found, says(en="; ".join(text.en for text in found), zh="；".join(text.zh for text in found))
