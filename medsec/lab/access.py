"""How the lab's hosts are reached: the administrator's key, the hosts' keys, and an ssh_config that knows them exactly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medsec.lab import machine
from medsec.lab.place import Place
from medsec.lab.seed import Keys

if TYPE_CHECKING:
    from medsec.lab.host import LabHost


def keys(place: Place, host: str) -> Keys:
    """Return the key texts that `host` is made with."""
    pair = _host_key(place, host)
    return Keys(
        host_private=pair.read_text(encoding="ascii"),
        host_public=_public(pair),
        admin_public=_public(_pair(place.identity, f"admin@{place.id}")),
    )


def write(place: Place, hosts: Sequence[LabHost]) -> None:
    """Write known_hosts and ssh_config for `hosts`; makes the keys that are missing."""
    _pair(place.identity, f"admin@{place.id}")
    known = []
    config = []
    for host in hosts:
        kind, key, *_ = _public(_host_key(place, host.name)).split()
        known.append(f"{','.join([host.name, *host.addresses])} {kind} {key}\n")
        config.append(_entry(place, host))
    _replace(place.known_hosts, "".join(known))
    _replace(place.ssh_config, "\n".join(config))


def _entry(place: Place, host: LabHost) -> str:
    settings = {
        "HostName": host.address,
        "User": host.user,
        "IdentityFile": str(place.identity),
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": str(place.known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "PasswordAuthentication": "no",
        # The exchange that withstands quantum computers costs seven times the processor time, at each of a lab's many logins.
        "KexAlgorithms": "curve25519-sha256",
    }
    lines = [
        f"Host {host.name} {' '.join(host.addresses)}",
        *(f"  {key} {value}" for key, value in settings.items()),
    ]
    return "\n".join(lines) + "\n"


def _host_key(place: Place, host: str) -> Path:
    # Kept beside the host, not in it: a host that is reset stays the same machine to those who know its key.
    return _pair(place.notes / "keys" / host, host)


def _pair(path: Path, comment: str) -> Path:
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        machine.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path])
    return path


def _public(pair: Path) -> str:
    return pair.with_name(f"{pair.name}.pub").read_text(encoding="ascii")


def _replace(path: Path, text: str) -> None:
    half = path.with_name(f"{path.name}.half")
    half.write_text(text, encoding="utf-8")
    half.replace(path)
