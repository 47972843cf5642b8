"""Reading a site's inventory with Ansible's own loader, so that precedence, ranges and vault mean what they mean there."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from medsec.catalogue.source import validate
from medsec.errors import UsageError
from medsec.inventory.hosts import Host, Inventory, Login
from medsec.inventory.ledger import Ledger, LedgerHost
from medsec.text import says


def load_inventory(path: Path) -> Inventory:
    """Return the inventory at `path`: a folder with `hosts.yml` and `group_vars/`, or an inventory file in one.

    Raises UsageError when there is none, when a host has no ledger entry (or the reverse), or when a value is wrong.
    """
    source = path / "hosts.yml" if path.is_dir() else path
    if not source.is_file():
        raise UsageError(
            says(
                en=f"{source}: no such inventory; `medsec init DIR` makes one, `--inventory` names another",
                zh=f"{source}：找不到主机清单；可用 `medsec init DIR` 新建，或用 `--inventory` 指定",
            )
        )
    variables = _ansible_variables(source)
    if not variables:
        raise UsageError(says(en=f"{source}: names no host", zh=f"{source}：清单中没有主机"))
    ledger = _ledger(source, variables)
    hosts = {name: _host(source, name, groups, values, ledger) for name, (groups, values) in variables.items()}
    for name in ledger.hosts:
        if name not in hosts:
            raise UsageError(
                says(
                    en=f"{source}: the ledger registers {name!r}, which is not in the inventory; add it or strike it",
                    zh=f"{source}：台账登记了 {name!r}，但主机清单中没有；请补入清单或从台账注销",
                )
            )
    return Inventory(path=source.parent, hosts=hosts, ledger=ledger)


def _ansible_variables(source: Path) -> dict[str, tuple[tuple[str, ...], dict[str, Any]]]:
    from ansible.inventory.manager import InventoryManager  # noqa: PLC0415 - slow to import, and not always needed
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415
    from ansible.template import Templar  # noqa: PLC0415
    from ansible.vars.manager import VariableManager  # noqa: PLC0415

    loader = DataLoader()
    try:
        # Ansible remembers variables by path for as long as the process lives: a relative one may mean another folder.
        inventory = InventoryManager(loader=loader, sources=[str(source.resolve())])
        manager = VariableManager(loader=loader, inventory=inventory)
        found = {}
        for host in inventory.get_hosts():
            raw = manager.get_vars(host=host, include_hostvars=False)
            values = Templar(loader=loader, variables=raw).template(_site_variables(raw))
            found[str(host.name)] = (tuple(str(group.name) for group in host.get_groups()), _plain(values))
    except Exception as error:  # Ansible raises many kinds; each means that the inventory cannot be read
        raise UsageError(
            says(en=f"{source}: cannot be read: {error}", zh=f"{source}：主机清单无法读取：{error}")
        ) from error
    return found


_ANSIBLE_OWN = {
    "environment",
    "groups",
    "hostvars",
    "inventory_dir",
    "inventory_file",
    "omit",
    "playbook_dir",
    "vars",
}


def _site_variables(raw: dict[str, Any]) -> dict[str, Any]:
    """Leave out what Ansible itself adds for a play."""
    return {
        name: value
        for name, value in raw.items()
        if name not in _ANSIBLE_OWN and not name.startswith("ansible_version")
    }


def _plain(value: Any) -> Any:
    """Return `value` in plain Python types: Ansible's loader marks each string with where it came from."""
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    for plain in (bool, int, float, str):
        if isinstance(value, plain):
            return plain(value)
    return value


def _ledger(source: Path, variables: dict[str, tuple[tuple[str, ...], dict[str, Any]]]) -> Ledger:
    first, (_, values) = next(iter(variables.items()))
    if "ledger" not in values:
        place = source.parent / "group_vars/all/ledger.yml"
        raise UsageError(
            says(
                en=f"{source}: host {first!r} has no `ledger`; the ledger belongs in {place}",
                zh=f"{source}：主机 {first!r} 没有 `ledger`；台账应写在 {place}",
            )
        )
    return validate(Ledger, values["ledger"], str(source.parent / "group_vars/all/ledger.yml"))


def _host(source: Path, name: str, groups: tuple[str, ...], values: dict[str, Any], ledger: Ledger) -> Host:
    entry: LedgerHost | None = ledger.hosts.get(name)
    if entry is None:
        known = ", ".join(ledger.hosts)
        raise UsageError(
            says(
                en=f"{source}: host {name!r} is not in the ledger (registered: {known}); register it first",
                zh=f"{source}：主机 {name!r} 未在台账登记（已登记：{known}）；请先登记",
            )
        )
    return Host(
        name=name, login=_login(source, name, values, entry), groups=groups, variables=values, ledger=entry
    )


def _login(source: Path, name: str, values: dict[str, Any], entry: LedgerHost) -> Login:
    options = _ssh_options(str(values.get("ansible_ssh_common_args", "")))
    key = values.get("ansible_ssh_private_key_file")
    port = values.get("ansible_port", 22)
    if not isinstance(port, int) or not 1 <= port <= 65535:
        raise UsageError(
            says(
                en=f"{source}: host {name}: ansible_port must be a number from 1 to 65535, got {port!r}",
                zh=f"{source}：主机 {name}：ansible_port 应为 1 至 65535 的整数，实际为 {port!r}",
            )
        )
    known_hosts = options.get("userknownhostsfile")
    return Login(
        address=str(values.get("ansible_host", entry.address)),
        port=port,
        user=str(values.get("ansible_user", "root")),
        key=Path(str(key)).expanduser() if key else None,
        known_hosts=Path(known_hosts).expanduser() if known_hosts else None,
        sudo=bool(values.get("ansible_become", True)),
        jump=options.get("proxyjump"),
    )


def _ssh_options(arguments: str) -> dict[str, str]:
    """Return the `-o Name=value` (and `-J`) options of ssh arguments, names in lower case."""
    options: dict[str, str] = {}
    words = iter(shlex.split(arguments))
    for word in words:
        if word == "-J":
            options["proxyjump"] = next(words, "")
        elif word.startswith("-o"):
            option = word[2:] or next(words, "")
            name, _, value = option.partition("=")
            options[name.strip().lower()] = value.strip()
    return options
