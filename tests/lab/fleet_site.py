"""Many names for few hosts: a fleet as the controller sees it, without the machines that it would take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from medsec.inventory import Inventory, load_inventory
from medsec.lab import Lab, LabHost
from tests import ledger_site


def write(
    folder: Path,
    lab: Lab,
    hosts: Mapping[str, LabHost],
    more: Mapping[str, Any] | None = None,
    **ledger: Any,
) -> Inventory:
    """Write and load an inventory below `folder` in which each name leads to its host; `more` are variables by name.

    `ledger` is handed on to `ledger_site.write`.
    """
    (console,) = {tuple(ledger_site.console(host)) for host in hosts.values()}
    entries = {name: ledger_site.entry(host) for name, host in hosts.items()}
    ledger_site.write(folder, lab, hosts, entries, {"management": console}, **ledger)
    listed = yaml.safe_load((folder / "hosts.yml").read_text(encoding="utf-8"))
    for name, variables in (more or {}).items():
        listed["all"]["hosts"][name] |= variables
    (folder / "hosts.yml").write_text(yaml.safe_dump(listed), encoding="utf-8")
    return load_inventory(folder)
