"""An OpenSSH configuration for the way over jump hosts."""

from __future__ import annotations

from medsec.inventory.hosts import Login


def jump_config(login: Login) -> str:
    """Return what is in force on the way to a host and for itself: strict host keys, the inventory's key and user.

    What the operator's own configuration says of a jump host goes before the inventory's user and host keys.
    """
    known = " ".join([*([str(login.known_hosts)] if login.known_hosts else []), "~/.ssh/known_hosts"])
    lines = ["Host *", "    StrictHostKeyChecking yes"]
    if login.key:
        lines.append(f"    IdentityFile {login.key}")
    lines += ["Include ~/.ssh/config", "Include /etc/ssh/ssh_config", "Host *", f"    User {login.user}"]
    lines.append(f"    UserKnownHostsFile {known}")
    return "\n".join(lines) + "\n"
