"""A site whose hosts are a lab's and whose ledger the test writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from medsec.catalogue.controls import load_controls
from medsec.engines.base import Outcome, Work
from medsec.engines.registry import engine
from medsec.evidence.findings import Finding
from medsec.inventory import Inventory, load_inventory
from medsec.judge.judge import judge
from medsec.lab import Lab, LabHost
from medsec.resources import root

BOTH = {"zh": "测试", "en": "test"}
SSH = {"port": 22, "process": "sshd", "sources": ["management"], "purpose": BOTH}


def entry(host: LabHost, *, listens: Sequence[Mapping[str, Any]] = (), **more: Any) -> dict[str, Any]:
    """Return a ledger entry for `host`, with SSH from the management addresses and what else it `listens` for."""
    about = dict.fromkeys(("department", "location", "purpose"), BOTH)
    return {
        "kind": host.kind,
        "os_family": "debian",
        "address": host.address,
        "owner": "test",
        "listens": [SSH, *listens],
        **about,
        **more,
    }


def console(host: LabHost) -> list[str]:
    """Return the addresses of this machine in the host's zone, from which it is administered."""
    return [f"{host.address.rpartition('.')[0]}.1/32", f"{host.ipv6.rpartition('::')[0]}::1/128"]


def write(
    folder: Path,
    lab: Lab,
    hosts: Mapping[str, LabHost],
    entries: Mapping[str, Mapping[str, Any]],
    address_sets: Mapping[str, Sequence[str]],
    *,
    time_sources: Sequence[str] = ("192.0.2.1",),
) -> Inventory:
    """Write and load an inventory below `folder` with the hosts that `entries` register."""
    ledger = {
        "institution": BOTH,
        "address_sets": dict(address_sets),
        "time_sources": list(time_sources),
        "hosts": dict(entries),
    }
    login = {
        "ansible_user": "admin",
        "ansible_become": True,
        "ansible_ssh_private_key_file": str(lab.identity_path),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={lab.known_hosts_path}",
    }
    logins = {name: {"ansible_host": hosts[name].address, **login} for name in entries}
    (folder / "group_vars/all").mkdir(parents=True, exist_ok=True)
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": logins}}), encoding="utf-8")
    # As text of its own: PyYAML would write what occurs twice as an anchor.
    text = yaml.dump({"ledger": ledger}, Dumper=_Plain, allow_unicode=True)
    (folder / "group_vars/all/ledger.yml").write_text(text, encoding="utf-8")
    return load_inventory(folder)


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def remedy(inventory: Inventory, control: str, names: Sequence[str], engine_name: str) -> dict[str, Outcome]:
    """Apply `control` to hosts and return what became of it, by host."""
    todo = {name: [control] for name in names}
    work = Work(inventory, load_controls(root() / "roles"), todo, "apply")
    result = engine(engine_name).run(work, lambda event: None)
    return {name: result.outcomes[name, control] for name in names}


def verdict(inventory: Inventory, control: str, name: str) -> Finding:
    """Judge `control` on one host."""
    controls = load_controls(root() / "roles")
    (finding,) = judge(inventory, [inventory.hosts[name]], [controls[control]]).findings
    return finding
