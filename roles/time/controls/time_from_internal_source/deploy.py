"""Lets the clock follow the registered sources by chrony, where it does not follow them already by another service."""

from __future__ import annotations

import shlex

from pyinfra import host
from pyinfra.facts.server import Command
from pyinfra.operations import server

from medsec.inventory import Params
from medsec.operations.templates import template
from medsec.resources import root


def deploy(params: Params) -> None:
    """Apply the remedy."""
    todo = [line.split() for line in (host.get_fact(Command, _question(params)) or "").splitlines()]
    # First, since the package of chrony takes another time service's package away.
    others = dict.fromkeys((words[0], words[1]) for words in todo if words[0] in ("disable", "stop"))
    for verb, unit in others:
        server.shell(
            name="Stop another time service"
            if verb == "stop"
            else "Keep another time service from being started at boot",
            commands=[f"systemctl {verb} {shlex.quote(unit)}"],
        )
    for number in (words[1] for words in todo if words[0] == "end"):
        server.shell(name="End a time program that no service started", commands=[f"kill {shlex.quote(number)}"])
    if ["install"] in todo:
        server.packages(name="Install chrony", packages=["chrony"], present=True)
    for file in (words[1] for words in todo if words[0] == "configure"):
        template(
            name="Write the registered sources",
            src="roles/time/templates/chrony.conf.j2",
            dest=file,
            params=params,
            mode="0644",
        )
    for unit in (words[1] for words in todo if words[0] == "enable"):
        server.shell(
            name="Let boot start the time service",
            commands=[f"systemctl unmask {shlex.quote(unit)}", f"systemctl enable {shlex.quote(unit)}"],
        )
    for unit in (words[1] for words in todo if words[0] == "restart"):
        server.shell(name="Follow the registered sources now", commands=[f"systemctl restart {shlex.quote(unit)}"])
    if any(words[0] == "restart" and words[1].startswith("chrony") for words in todo) and _followed(params):
        # A source that is itself being set up in this run (the gateway) answers a little later.
        server.shell(
            name="Wait until the clock follows a registered source", commands=["chronyc waitsync 60 0 0 2"]
        )
    if ["zone"] in todo:
        server.shell(name="Set the time zone", commands=[f"timedatectl set-timezone {shlex.quote(params.zone)}"])


def _followed(params: Params) -> list[str]:
    """Return the sources that this host follows; a source of its own right has none."""
    sources: list[str] = params.upstream if params.address in params.sources else params.sources
    return sources


def _question(params: Params) -> str:
    serves = params.address in params.sources
    redhat = params.os_family == "redhat"
    values = {
        "SOURCES": " ".join(_followed(params)),
        "OWN_CLOCK": "yes" if serves and not params.upstream else "no",
        "CHRONY": "chronyd" if redhat else "chrony",
        "FILE": "/etc/chrony.conf" if redhat else "/etc/chrony/chrony.conf",
        "ZONE": params.zone,
        "MAX_OFFSET_MS": str(params.max_offset_ms),
    }
    script = (root() / "roles/time/files/time_state.sh").read_text(encoding="utf-8")
    return "\n".join([*(f"{name}={shlex.quote(value)}" for name, value in values.items()), script])
