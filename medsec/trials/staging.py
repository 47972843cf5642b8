"""The host of a case: its kind, its image layer, and an inventory of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from medsec.catalogue.controls import Kind
from medsec.inventory import Inventory, load_inventory
from medsec.lab import Lab, LabHost
from medsec.trials.cases import Case


def kind_of(case: Case) -> Kind:
    """Return the kind of host that the case is tried on."""
    return case.scenario.kind or case.control.applies_to.kinds[0]


def layer_of(case: Case) -> str | None:
    """Return the image layer of the case's host: a database server has databases."""
    return "db" if kind_of(case) == "db" else None


def write_inventory(folder: Path, lab: Lab, hosts: Mapping[str, tuple[Case, LabHost]]) -> Inventory:
    """Write and load an inventory with one host for each case, as a site would write its own."""
    (folder / "group_vars/all").mkdir(parents=True, exist_ok=True)
    (folder / "host_vars").mkdir(exist_ok=True)
    _write(
        folder / "hosts.yml", {"all": {"hosts": {name: _login(lab, host) for name, (_, host) in hosts.items()}}}
    )
    _write(folder / "group_vars/all/ledger.yml", {"ledger": _ledger(hosts)})
    for name, (case, _) in hosts.items():
        values = {
            case.control.variable(key): value
            for key, value in case.scenario.parameters.items()
            if key not in _of_the_ledger(case)
        }
        values["medsec_guard_seconds"] = 900  # many hosts at once on one machine
        _write(folder / "host_vars" / f"{name}.yml", values)
    return load_inventory(folder)


def _write(path: Path, value: Any) -> None:
    path.write_text(yaml.safe_dump(value, allow_unicode=True, sort_keys=False), encoding="utf-8")


def _login(lab: Lab, host: LabHost) -> dict[str, Any]:
    options = f"-o UserKnownHostsFile={lab.known_hosts_path} -o StrictHostKeyChecking=yes"
    return {
        "ansible_host": host.address,
        "ansible_user": host.user,
        "ansible_become": True,
        "ansible_ssh_private_key_file": str(lab.identity_path),
        "ansible_ssh_common_args": options,
    }


def _ledger(hosts: Mapping[str, tuple[Case, LabHost]]) -> dict[str, Any]:
    # The machine that runs the lab is number 1 in each zone: the operator's console.
    zone = next(iter(hosts.values()))[1].address.rpartition(".")[0]
    console = f"{zone}.1"
    return {
        "institution": {"zh": "试验环境", "en": "Trial"},
        "address_sets": {"management": [f"{console}/32"], "clinic": [f"{zone}.0/24"]},
        "time_sources": [console],
        "hosts": {name: _entry(case, host) for name, (case, host) in hosts.items()},
    }


def _entry(case: Case, host: LabHost) -> dict[str, Any]:
    database = kind_of(case) == "db"
    both = {"zh": "试验", "en": "trial"}
    listens = [{"port": 22, "process": "sshd", "sources": ["management"], "purpose": both}]
    if database:
        listens += [
            {"port": 5432, "process": "postgres", "sources": ["local"], "purpose": both},
            {"port": 3306, "process": "mariadbd", "sources": ["local"], "purpose": both},
        ]
    return {
        "kind": kind_of(case),
        "os_family": "debian",
        "address": host.address,
        "department": both,
        "owner": "trial",
        "location": both,
        "purpose": both,
        "runs": ["postgresql", "mariadb"] if database else [],
        "listens": listens,
        **{field: case.scenario.parameters[key] for key, field in _of_the_ledger(case).items()},
    }


# Other fields come from the host that is tried, or may be set in the inventory as well.
_OF_THE_ENTRY = (
    "break_glass",
    "copied_to",
    "copies_of",
    "copies_escrow",
    "price_catalogue",
    "administrators",
    "collected_by",
    "collects_from",
)


def _of_the_ledger(case: Case) -> dict[str, str]:
    """Return the parameters of the scenario that only the host's ledger entry can set, with the names of its fields."""
    fields = {key: case.control.parameters[key].ledger for key in case.scenario.parameters}
    names = {key: field.removeprefix("host.") for key, field in fields.items() if field}
    return {key: name for key, name in names.items() if name in _OF_THE_ENTRY}
