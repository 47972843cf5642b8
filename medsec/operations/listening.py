"""Which ports the ledger registers for other hosts."""

from __future__ import annotations

import re

from medsec.inventory import Params


def open_ports(params: Params, program: str) -> str:
    """Return the TCP ports that the ledger lets other hosts reach, joined by commas.

    + program: pattern of the registered processes that count
    """
    ports = {
        entry["port"]
        for entry in params.listens
        if re.match(program, entry["process"]) and entry["protocol"] == "tcp" and entry["sources"] != ["local"]
    }
    return ",".join(map(str, sorted(ports)))
