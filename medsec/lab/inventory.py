"""The example clinic's inventory, made to reach the hosts of one lab."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from medsec import resources
from medsec.lab.errors import LabError
from medsec.lab.host import LabHost
from medsec.lab.place import Place
from medsec.text import says

_EXAMPLE_PREFIX = "10.66."


def write(place: Place, hosts: dict[str, LabHost], folder: Path) -> Path:
    """Copy the example inventory into `folder`, with this lab's addresses, key and host keys; return its hosts.yml.

    The example names the hosts, their groups and their ledger; a host that the lab has beyond it is not in the copy. Raises
    LabError where the example names a host that the lab has not.
    """
    example = resources.root() / "inventory"
    shutil.copytree(example, folder, dirs_exist_ok=True)
    for path in sorted(folder.rglob("*.yml")):
        path.write_text(_readdressed(place, path.read_text(encoding="utf-8")), encoding="utf-8")
    listed: dict[str, Any] = yaml.safe_load((folder / "hosts.yml").read_text(encoding="utf-8"))
    for name, values in _entries(listed["all"]):
        if name not in hosts:
            raise LabError(
                says(
                    en=f"{example / 'hosts.yml'} names {name!r}, which lab {place.id} has not; it has: {', '.join(hosts)}",
                    zh=f"{example / 'hosts.yml'} 中的 {name!r} 不在实验环境 {place.id} 中；现有主机：{'、'.join(hosts)}",
                )
            )
        values["ansible_host"] = hosts[name].address
    listed["all"].setdefault("vars", {}).update(
        ansible_user=next(iter(hosts.values())).user,
        ansible_ssh_private_key_file=str(place.identity),
        ansible_ssh_common_args=f"-o UserKnownHostsFile={place.known_hosts} -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes",
    )
    target = folder / "hosts.yml"
    target.write_text(yaml.safe_dump(listed, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return target


def _entries(group: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return (host, its variables) of a group and of those below it; the variables can be changed in place."""
    found = []
    hosts = group.get("hosts") or {}
    for name in hosts:
        hosts[name] = hosts[name] or {}
        found.append((name, hosts[name]))
    for child in (group.get("children") or {}).values():
        found += _entries(child or {})
    return found


def _readdressed(place: Place, text: str) -> str:
    return text.replace(_EXAMPLE_PREFIX, place.network.prefix)
