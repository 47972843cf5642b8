"""What a new host is given before its first boot: its name, addresses, keys. Nothing that hardens it."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medsec.lab import machine
from medsec.lab.definition import HostSpec
from medsec.lab.network import Link, Network

ADMIN = "admin"
_ADMIN_ID = 1000


@dataclass(frozen=True)
class SeedFile:
    """One file of a new host; `path` is relative to its root."""

    path: str
    content: str
    mode: int = 0o644
    owner: int = 0


@dataclass(frozen=True)
class Keys:
    """The texts of the keys that a host gets: its own pair, and the administrator's public one."""

    host_private: str
    host_public: str
    admin_public: str


# A container may not set the clock that it shares with the machine. So chrony, once it is installed, follows its source
# and serves others as ever, and leaves the clock alone (-x). A virtual machine needs none of this.
_NO_CLOCK = """\
[Unit]
ConditionCapability=

[Service]
EnvironmentFile=
Environment="DAEMON_OPTS=-F 1 -x"
"""


def files(
    name: str, host: HostSpec, network: Network, names: Mapping[str, Sequence[str]], keys: Keys
) -> Iterator[SeedFile]:
    """Yield the files of a new host; `names` maps the names of all hosts to their addresses, for /etc/hosts."""
    yield SeedFile("etc/hostname", f"{name}\n")
    yield SeedFile("etc/hosts", _hosts_file(name, names))
    yield SeedFile("etc/machine-id", f"{uuid.uuid4().hex}\n", 0o444)
    yield SeedFile("etc/ssh/ssh_host_ed25519_key", keys.host_private, 0o600)
    yield SeedFile("etc/ssh/ssh_host_ed25519_key.pub", keys.host_public)
    yield SeedFile(f"home/{ADMIN}/.ssh/authorized_keys", keys.admin_public, 0o600, _ADMIN_ID)
    if host.tier == "container":
        yield SeedFile("etc/systemd/system/chrony.service.d/50-lab-no-clock.conf", _NO_CLOCK)
    routed = host.kind == "gateway"
    for link in network.links(host):
        route = None if routed else network.gateway(link.zone)
        yield SeedFile(f"etc/systemd/network/10-{link.inner}.network", _network_file(link, route))
    if routed:
        forwarding = "net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n"
        yield SeedFile("etc/sysctl.d/50-routing.conf", forwarding)


def _hosts_file(name: str, names: Mapping[str, Sequence[str]]) -> str:
    lines = [
        "127.0.0.1\tlocalhost",
        f"127.0.1.1\t{name}",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        *(f"{address}\t{other}" for other, addresses in names.items() for address in addresses),
    ]
    return "\n".join(lines) + "\n"


def _network_file(link: Link, gateway: tuple[str, str] | None) -> str:
    lines = [
        "[Match]",
        f"MACAddress={link.mac}",
        "",
        "[Network]",
        f"Address={link.ipv4}/24",
        f"Address={link.ipv6}/64",
        "IPv6AcceptRA=no",
    ]
    lines += [f"Gateway={address}" for address in gateway or ()]
    return "\n".join(lines) + "\n"


def sow(upper: Path, lower: Sequence[Path], seeds: Iterator[SeedFile]) -> None:
    """Write `seeds` into the empty folder `upper`; folders on the way look as they do in `lower` (uppermost first)."""
    for seed in seeds:
        place = upper / seed.path
        _folders(upper, lower, place.parent)
        place.write_text(seed.content, encoding="utf-8")
        place.chmod(seed.mode)
        os.chown(place, seed.owner, seed.owner)


def _folders(upper: Path, lower: Sequence[Path], wanted: Path) -> None:
    parts = wanted.relative_to(upper).parts
    for depth in range(len(parts)):
        part = Path(*parts[: depth + 1])
        if (upper / part).is_dir():
            continue
        (upper / part).mkdir()
        model = next((folder / part for folder in lower if (folder / part).is_dir()), None)
        if model is not None:
            _look_like(upper / part, model)


def _look_like(place: Path, model: Path) -> None:
    wanted = model.stat()
    os.chown(place, wanted.st_uid, wanted.st_gid)
    place.chmod(stat.S_IMODE(wanted.st_mode))


def copy_tree(source: Path, target: Path) -> None:
    """Make `target` an exact copy of an overlay's upper folder, removed files and opaque folders included."""
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    machine.run(["cp", "--archive", "--reflink=auto", "--sparse=always", source, target])
