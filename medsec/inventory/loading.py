"""Reading a site's inventory with Ansible's own loader, so that precedence, ranges and vault mean what they mean there."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from medsec.catalogue.source import validate
from medsec.errors import UsageError
from medsec.inventory.hosts import Host, Inventory, Login
from medsec.inventory.ledger import Ledger, LedgerHost
from medsec.inventory.names import require_address, require_name, require_user
from medsec.inventory.passwords import FORMS, SOURCE, STANDARD, become_password, is_secret
from medsec.inventory.prices import FILE as APPROVALS
from medsec.inventory.prices import load_approvals
from medsec.text import says

SITE_FORKS = "medsec_site_forks"


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
    listed = _ansible_variables(source)
    if not listed.hosts:
        raise UsageError(says(en=f"{source}: names no host", zh=f"{source}：清单中没有主机"))
    for name in listed.hosts:
        require_name(str(source), name)
    ledger = _ledger(source, listed)
    hosts = {name: _host(source, name, groups, values, ledger) for name, (groups, values) in listed.hosts.items()}
    for name in ledger.hosts:
        if name not in hosts:
            raise UsageError(
                says(
                    en=f"{source}: the ledger registers {name!r}, which is not in the inventory; add it or strike it",
                    zh=f"{source}：台账登记了 {name!r}，但主机清单中没有；请补入清单或从台账注销",
                )
            )
    return Inventory(source.parent, hosts, ledger, site_forks=_site_forks(source, listed))


def ansible_config(path: Path) -> Path | None:
    """Return the `ansible.cfg` of the site whose inventory is in the folder `path`: in there, or beside it."""
    places = (place / "ansible.cfg" for place in (path, path.parent))
    return next((file for file in places if file.is_file()), None)


@dataclass(frozen=True)
class _Listed:
    """What Ansible makes of an inventory."""

    # Groups and variables of each host. `ledger` is the same value for all: it is as long as the list of hosts.
    hosts: dict[str, tuple[tuple[str, ...], dict[str, Any]]]
    # `medsec_site_forks` by the group that sets it.
    site_forks: dict[str, Any]


def _ansible_variables(source: Path) -> _Listed:
    from ansible.inventory.manager import InventoryManager  # noqa: PLC0415 - slow to import, and not always needed
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415
    from ansible.template import Templar  # noqa: PLC0415
    from ansible.vars.manager import VariableManager  # noqa: PLC0415
    from ansible.vars.plugins import get_vars_from_inventory_sources  # noqa: PLC0415

    loader = DataLoader()
    ledger: dict[str, Any] = {}
    found: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {}
    limits: dict[str, Any] = {}
    try:
        _open_vaults(loader, source)
        # Ansible remembers variables by path for as long as the process lives: a relative one may mean another folder.
        sources = [str(source.resolve())]
        inventory = InventoryManager(loader=loader, sources=sources)
        manager = VariableManager(loader=loader, inventory=inventory)
        for host in inventory.get_hosts():
            raw = manager.get_vars(host=host, include_hostvars=False)
            for variable in STANDARD:
                _refuse_lookup(source, str(host.name), variable, raw)
            values = _site_variables(raw)
            if ledger:
                values.pop("ledger", None)
            plain = _plain(Templar(loader=loader, variables=raw).template(values))
            ledger = ledger or {name: plain[name] for name in ("ledger",) if name in plain}
            found[str(host.name)] = (tuple(str(group.name) for group in host.get_groups()), plain | ledger)
        for name, group in inventory.groups.items():
            own = group.get_vars() | get_vars_from_inventory_sources(loader, sources, [group], "task")
            if SITE_FORKS in own:
                limits[str(name)] = _plain(own[SITE_FORKS])
    except UsageError:
        raise
    except Exception as error:  # Ansible raises many kinds; each means that the inventory cannot be read
        raise UsageError(
            says(en=f"{source}: cannot be read: {error}", zh=f"{source}：主机清单无法读取：{error}")
        ) from error
    return _Listed(found, limits)


def _site_forks(source: Path, listed: _Listed) -> dict[str, int]:
    for group, value in listed.site_forks.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UsageError(
                says(
                    en=f"{source}: group {group}: {SITE_FORKS} must be a number of hosts, at least 1, got {value!r}",
                    zh=f"{source}：主机组 {group}：{SITE_FORKS} 应为不小于 1 的主机数，实际为 {value!r}",
                )
            )
    for name, (groups, values) in listed.hosts.items():
        if SITE_FORKS in values and not listed.site_forks.keys() & set(groups):
            raise UsageError(
                says(
                    en=f"{source}: host {name}: {SITE_FORKS} limits a group and means nothing for a host; move it to its group",
                    zh=f"{source}：主机 {name}：{SITE_FORKS} 用于限制主机组，对单台主机无意义；请移到所属主机组",
                )
            )
    return dict(listed.site_forks)


def _open_vaults(loader: Any, source: Path) -> None:
    """Let `loader` read what ansible-vault encrypted, with the password files that Ansible itself would take."""
    # Not by ansible.cli, which ends the process where the locale or the terminal is not what Ansible itself wants.
    from ansible.config.manager import ConfigManager  # noqa: PLC0415 - slow to import
    from ansible.parsing.vault import VaultSecretsContext, get_file_vault_secret  # noqa: PLC0415

    site = ansible_config(source.resolve().parent)
    settings = ConfigManager(str(site) if site else None)
    file = settings.get_config_value("DEFAULT_VAULT_PASSWORD_FILE")
    entries = [*settings.get_config_value("DEFAULT_VAULT_IDENTITY_LIST"), *([f"@{file}"] if file else [])]
    secrets = []
    for entry in entries:
        name, path = entry.split("@", 1) if "@" in entry else ("", entry)
        secret = get_file_vault_secret(filename=path, vault_id=name or None, loader=loader)
        secret.load()
        secrets.append((name or settings.get_config_value("DEFAULT_VAULT_IDENTITY"), secret))
        loader.set_vault_secrets(secrets)  # a password file may itself be encrypted with one before it
    loader.set_vault_secrets(secrets)
    # One for the whole process, where values encrypted by themselves are opened.
    context = VaultSecretsContext.current(optional=True)
    if context is None:
        VaultSecretsContext.initialize(VaultSecretsContext(secrets))
    else:
        context.secrets = secrets


def _refuse_lookup(source: Path, host: str, variable: str, raw: dict[str, Any]) -> None:
    """Ansible would run a lookup for each task; medsec takes passwords from fewer places, and says from which."""
    if re.search(r"\{\{.*\b(lookup|query|q)\s*\(", str(raw.get(variable, "")), re.DOTALL):
        raise UsageError(
            says(
                en=f"{source}: host {host}: {variable} is a lookup, which medsec does not run; "
                f"encrypt it by ansible-vault, or name one of {FORMS} as {SOURCE}",
                zh=f"{source}：主机 {host}：{variable} 使用了 lookup，medsec 不予执行；"
                f"请用 ansible-vault 加密，或在 {SOURCE} 中写明 {FORMS} 之一",
            )
        )


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
    # YAML reads 2026-08-31 as a date; as text it is what it is in quotes, and can be kept with a run.
    return value.isoformat() if isinstance(value, date) else value


def _ledger(source: Path, listed: _Listed) -> Ledger:
    first, (_, values) = next(iter(listed.hosts.items()))
    if "ledger" not in values:
        place = source.parent / "group_vars/all/ledger.yml"
        raise UsageError(
            says(
                en=f"{source}: host {first!r} has no `ledger`; the ledger belongs in {place}",
                zh=f"{source}：主机 {first!r} 没有 `ledger`；台账应写在 {place}",
            )
        )
    written = str(source.parent / "group_vars/all/ledger.yml")
    return _approved(source.parent, validate(Ledger, values["ledger"], written), written)


def _approved(folder: Path, ledger: Ledger, place: str) -> Ledger:
    """Return the ledger with the approvals of each host's tables, which have a file of their own."""
    for name, host in ledger.hosts.items():
        if host.price_approvals:
            raise UsageError(
                says(
                    en=f"{place}: host {name!r}: price_approvals stand in {folder / APPROVALS}; move them there",
                    zh=f"{place}：主机 {name!r}：price_approvals 应写在 {folder / APPROVALS}，请移到该文件",
                )
            )
    approvals = load_approvals(folder, ledger.hosts)
    hosts = {
        name: host.model_copy(update={"price_approvals": [one for one in approvals if one.host == name]})
        for name, host in ledger.hosts.items()
    }
    return ledger.model_copy(update={"hosts": hosts}) if approvals else ledger


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
        name=name,
        login=_login(source, name, values, entry),
        groups=groups,
        # What holds a secret goes no further than the login.
        variables={variable: value for variable, value in values.items() if not is_secret(variable)},
        ledger=entry,
    )


def _login(source: Path, name: str, values: dict[str, Any], entry: LedgerHost) -> Login:
    options = _ssh_options(
        str(values.get("ansible_ssh_common_args", "")), str(values.get("ansible_ssh_extra_args", ""))
    )
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
    place = str(source)
    address = str(values.get("ansible_host", entry.address))
    require_address(place, name, "ansible_host", address)
    user = str(values.get("ansible_user", "root"))
    require_user(place, name, "ansible_user", user)
    _require_sudo(place, name, values)
    jump, proxy = _way(options)
    return Login(
        address=address,
        port=port,
        user=user,
        key=Path(str(key)).expanduser() if key else None,
        known_hosts=Path(known_hosts).expanduser() if known_hosts else None,
        sudo=bool(values.get("ansible_become", True)),
        jump=jump,
        proxy=proxy,
        password=become_password(name, values),
    )


def _require_sudo(place: str, host: str, values: dict[str, Any]) -> None:
    for variable, accepted in (("ansible_become_method", "sudo"), ("ansible_become_user", "root")):
        met = str(values.get(variable, accepted))
        if met.removeprefix("ansible.builtin.") != accepted:
            raise UsageError(
                says(
                    en=f"{place}: host {host}: {variable}: {met!r}; {accepted!r} is accepted",
                    zh=f"{place}：主机 {host}：{variable}: {met!r}；只接受 {accepted!r}",
                )
            )


def _way(options: dict[str, str]) -> tuple[str | None, str | None]:
    """Return `ProxyJump` and `ProxyCommand`, of which ssh takes the one that is said first (ssh_config(5))."""
    said = [name for name in options if name in ("proxyjump", "proxycommand")][:1]
    wanted = {name: options[name] for name in said if options[name].lower() != "none"}
    jump = wanted.get("proxyjump")
    # ssh also takes a jump host as a URI; to the others it is user, address and port.
    return jump and re.sub(r"(^|,)ssh://", r"\1", jump), wanted.get("proxycommand")


def _ssh_options(*arguments: str) -> dict[str, str]:
    """Return the `-o Name=value` (and `-J`) options of ssh arguments, names in lower case; as in ssh, the first counts."""
    options: dict[str, str] = {}
    words = iter(word for given in arguments for word in shlex.split(given))
    for word in words:
        if word.startswith("-J"):
            options.setdefault("proxyjump", word[2:] or next(words, ""))
        elif word.startswith("-o"):
            name, value = _option(word[2:] or next(words, ""))
            options.setdefault(name.lower(), value)
    return options


def _option(text: str) -> tuple[str, str]:
    """Split `Name=value` or `Name value`; a value may hold further signs of either kind."""
    name = re.match(r"\s*(\w+)\s*=?\s*", text)
    return (name.group(1), text[name.end() :].strip()) if name else (text, "")
