"""What plain `pyinfra INVENTORY PLAYBOOK` needs: the hosts of a site, and the deploys of the controls."""

from __future__ import annotations

import atexit
import socket
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from gevent import monkey
from pyinfra.api import Host

from medsec import resources
from medsec.catalogue.controls import Control, load_controls
from medsec.catalogue.selection import applies, select
from medsec.engines import pyinfra_commands, pyinfra_logins
from medsec.engines.pyinfra_deploys import deploy_of
from medsec.inventory import Inventory, effective, load_inventory
from medsec.inventory.profile import check_profiles, why_not_selected


def hosts(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the hosts of the inventory in `folder`, each with the data that pyinfra needs to log in to it."""
    pyinfra_commands.install()
    return [
        (
            host.name,
            {**pyinfra_logins.host_data(pyinfra_logins.message(host.login), _scratch()), "site": str(folder)},
        )
        for host in _inventory(folder).hosts.values()
    ]


def harden(host: Host) -> None:
    """Run on `host` the remedies of all controls that apply to it.

    `pyinfra --data controls=a,b` narrows them to controls, items or families. Raises UsageError for an unknown name.
    """
    inventory = _inventory(Path(host.data.site))
    entry = inventory.hosts[host.name].ledger
    wanted = _wanted(str(host.data.get("controls", "")))
    # Over all controls, so that each has the same place in the order of operations on every host.
    for control in host.loop(load_controls(resources.root() / "roles").values()):
        applicable = applies(
            control, kind=entry.kind, os_family=entry.os_family, runs=entry.runs, registers=entry.registers
        )
        selected = why_not_selected(control, inventory.hosts[host.name]) is None
        if applicable and selected and control.enforce and control.id in wanted:
            params = effective(control, inventory.hosts[host.name], inventory.ledger)
            deploy_of(control)(params)


@cache
def _inventory(folder: Path) -> Inventory:
    # Ansible's loader tries the system's own getaddrinfo with a value that gevent's refuses, loudly.
    patched = socket.getaddrinfo
    socket.getaddrinfo = monkey.get_original("socket", "getaddrinfo")
    try:
        inventory = load_inventory(folder)
    finally:
        socket.getaddrinfo = patched
    check_profiles(inventory, load_controls(resources.root() / "roles"))
    return inventory


@cache
def _wanted(names: str) -> frozenset[str]:
    controls = load_controls(resources.root() / "roles")
    chosen: list[Control] = select(controls, tags=filter(None, names.split(",")))
    return frozenset(control.id for control in chosen)


@cache
def _scratch() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="medsec-")
    atexit.register(folder.cleanup)
    return Path(folder.name)
