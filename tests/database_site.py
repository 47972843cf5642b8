"""A site of database servers with the backups that the remedy of `database_backed_up_daily` installs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from medsec.catalogue.controls import Controls
from medsec.drills.engines import ENGINES
from medsec.inventory import Inventory, load_inventory
from medsec.lab import Lab, LabHost
from medsec.operations.rendering import render
from medsec.resources import root

# Those that the ledger registers, each with the engine of its name.
PRODUCTS = tuple(name for name, engine in ENGINES.items() if name == engine.product)
BOTH = {"zh": "试验", "en": "Trial"}
TEMPLATES = {
    "database-backup.sh.j2": "/usr/local/sbin/medsec-database-backup",
    "medsec-database-backup@.service.j2": "/etc/systemd/system/medsec-database-backup@.service",
    "medsec-database-backup@.timer.j2": "/etc/systemd/system/medsec-database-backup@.timer",
}


def site(lab: Lab, hosts: list[LabHost], folder: Path, **variables: object) -> Inventory:
    """Write and load a site of database servers."""
    here = folder / "inventory"
    (here / "group_vars/all").mkdir(parents=True, exist_ok=True)
    login = {
        "ansible_become": True,
        "ansible_ssh_private_key_file": str(lab.identity_path),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={lab.known_hosts_path} -o StrictHostKeyChecking=yes",
    }
    logins = {host.name: {**login, "ansible_host": host.address, "ansible_user": host.user} for host in hosts}
    entry = {
        "kind": "db",
        "os_family": "debian",
        "department": BOTH,
        "owner": "x",
        "location": BOTH,
        "purpose": BOTH,
    }
    entries = {host.name: {**entry, "address": host.address, "runs": list(PRODUCTS)} for host in hosts}
    ledger = {
        "institution": BOTH,
        "address_sets": {"m": ["10.0.0.0/8"]},
        "time_sources": ["10.66.1.1"],
        "hosts": entries,
    }
    (here / "hosts.yml").write_text(
        yaml.safe_dump({"all": {"hosts": logins, "vars": variables}}), encoding="utf-8"
    )
    (here / "group_vars/all/ledger.yml").write_text(yaml.safe_dump({"ledger": ledger}), encoding="utf-8")
    return load_inventory(here)


def installing(controls: Controls) -> str:
    """Return the shell that puts the backup program and its units in their places; no timer is started."""
    control = controls["database_backed_up_daily"]
    values: dict[str, Any] = {
        control.variable(name): parameter.default for name, parameter in control.parameters.items()
    }
    parts = [
        f"cat > {path} << 'TEXT'\n{render(root() / 'roles/backup/templates' / name, values)}TEXT"
        for name, path in TEMPLATES.items()
    ]
    return "\n".join(
        [
            "set -e",
            "mkdir -p -m 700 /var/backups/medsec",
            *parts,
            "chmod 755 /usr/local/sbin/medsec-database-backup",
            "systemctl daemon-reload",
        ]
    )
