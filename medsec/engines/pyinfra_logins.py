"""Logins as pyinfra wants them: as strict about host keys as the other engine and the judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medsec.inventory.hosts import Login


def message(login: Login) -> dict[str, Any]:
    """Return `login` as plain data, for the way into another process."""
    return {
        "address": login.address,
        "port": login.port,
        "user": login.user,
        "key": str(login.key) if login.key else None,
        "known_hosts": str(login.known_hosts) if login.known_hosts else None,
        "sudo": login.sudo,
        "jump": login.jump,
        "password": login.password.reveal() if login.password is not None and login.sudo else None,
        "proxy": login.proxy,
    }


def host_data(login: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return pyinfra's host data for a login; an ssh configuration that a jump host needs is written to `folder`."""
    data: dict[str, Any] = {
        "ssh_hostname": login["address"],
        "ssh_port": login["port"],
        "ssh_user": login["user"],
        "ssh_strict_host_key_checking": "yes",
        "_sudo": login["sudo"],
        "_sudo_password": login["password"],
    }
    if login["key"]:
        data["ssh_key"] = login["key"]
    if login["known_hosts"]:
        data["ssh_known_hosts_file"] = login["known_hosts"]
    if login["jump"] or login["proxy"]:
        data["ssh_config_file"] = str(_config(login, folder))
    return data


def _config(login: dict[str, Any], folder: Path) -> Path:
    """Write what OpenSSH's `-J` or `ProxyCommand` means; jump hosts are asked for their keys as strictly as hosts."""
    path = folder / f"{len(list(folder.iterdir()))}.conf"
    known = " ".join(filter(None, [login["known_hosts"], "~/.ssh/known_hosts"]))
    key = f"    IdentityFile {login['key']}\n" if login["key"] else ""
    way = f"ProxyJump {login['jump']}" if login["jump"] else f"ProxyCommand {login['proxy']}"
    path.write_text(
        f"Host {login['address']}\n    {way}\n"
        f"Host *\n    User {login['user']}\n    StrictHostKeyChecking yes\n    UserKnownHostsFile {known}\n{key}",
        encoding="utf-8",
    )
    return path
