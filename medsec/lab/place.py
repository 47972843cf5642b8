"""Where one lab keeps what: its notes, its disks, its networks, its images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from medsec.lab import machine
from medsec.lab.definition import Definition
from medsec.lab.images import Images, Tell, say_nothing
from medsec.lab.network import Network


@dataclass(frozen=True)
class Place:
    """The folders and networks of the lab `name` number `index`."""

    definition: Definition
    name: str
    index: int
    tell: Tell = say_nothing

    @property
    def id(self) -> str:
        """The name that folders and control groups carry."""
        return f"{self.name}-{self.index}"

    @property
    def notes(self) -> Path:
        """Keys, known hosts, consoles, the list of hosts: gone after a restart of this machine."""
        return machine.NOTES / self.id

    @property
    def disks(self) -> Path:
        """What hosts changed, and their snapshots."""
        return machine.DISKS / self.id

    @property
    def lock(self) -> Path:
        """The lock of this index: shared while hosts boot, alone while networks and lists change."""
        return lock_of(self.index)

    @property
    def ssh_config(self) -> Path:
        """The ssh_config(5) that reaches every host."""
        return self.notes / "ssh_config"

    @property
    def known_hosts(self) -> Path:
        """The host keys of every host."""
        return self.notes / "known_hosts"

    @property
    def identity(self) -> Path:
        """The administrator's private key."""
        return self.notes / "id_ed25519"

    def console(self, host: str) -> Path:
        """Return the file with what a host printed while it booted."""
        return self.notes / f"{host}.console"

    def disk(self, host: str) -> Path:
        """Return the folder of what a host changed."""
        return self.disks / "hosts" / host

    def snapshots(self, host: str) -> Path:
        """Return the folder of a host's snapshots."""
        return self.disks / "snapshots" / host

    def snapshot(self, host: str, label: str) -> Path:
        """Return the folder of one snapshot."""
        return self.snapshots(host) / label

    @cached_property
    def network(self) -> Network:
        """The lab's networks."""
        return Network(self.definition, self.index)

    @cached_property
    def images(self) -> Images:
        """The images that its hosts are made of."""
        return Images(self.definition, self.tell)


def lock_of(index: int) -> Path:
    """Return the lock file of a lab index; it is kept for ever, as removing a lock would race with taking it."""
    return machine.NOTES / f"index-{index}.lock"
