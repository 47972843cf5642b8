"""Stops, disables and masks what is in use of the listed services; leaves every other listener to its owner."""

from __future__ import annotations

import shlex

from pyinfra import host
from pyinfra.facts.server import Command
from pyinfra.operations import server

from medsec.inventory import Params
from medsec.resources import root


def deploy(params: Params) -> None:
    """Apply the remedy."""
    found = (host.get_fact(Command, _question(params)) or "").splitlines()
    for line in found:
        kind, name, *rest = line.split()
        quoted = shlex.quote(name)
        if kind == "unit":
            # Disabled before it is masked: a unit that stays enabled under its mask would come back with the mask gone.
            steps = {"stop": ["stop"], "disable": ["stop", "disable"], "mask": ["stop", "disable", "mask"]}[
                rest[0]
            ]
            commands = [f"systemctl {step} {quoted}" for step in steps]
            server.shell(name=f"Put the unit out of use: {name}", commands=commands)
        else:
            server.shell(name=f"End the program: {' '.join(rest)}", commands=[f"kill {quoted}"])


def _question(params: Params) -> str:
    script = (root() / "roles/services/files/unneeded.sh").read_text(encoding="utf-8")
    services, programs = " ".join(params.services), " ".join(params.programs)
    return f"SERVICES={shlex.quote(services)}\nPROGRAMS={shlex.quote(programs)}\n{script}"
