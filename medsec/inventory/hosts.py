"""The hosts of an inventory and how each is reached."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medsec.errors import UsageError
from medsec.inventory.ledger import Ledger, LedgerHost
from medsec.inventory.passwords import Password
from medsec.text import says


@dataclass(frozen=True)
class Login:
    """How a host is logged in to over SSH."""

    address: str
    port: int = 22
    user: str = "root"
    key: Path | None = None
    known_hosts: Path | None = None
    sudo: bool = True
    # Jump hosts as `ssh -J` writes them, or None.
    jump: str | None = None
    # A `ProxyCommand` as ssh_config(5) writes it, or None; never beside `jump`.
    proxy: str | None = None
    # What sudo asks for; None where it asks for nothing.
    password: Password | None = None

    @property
    def way(self) -> str | None:
        """What the way to the host leads through, or None where it is reached directly."""
        return self.jump or self.proxy


@dataclass(frozen=True)
class Host:
    """One host: its name, how it is reached, its groups, its variables and its ledger entry."""

    name: str
    login: Login
    groups: tuple[str, ...]
    variables: dict[str, Any] = field(repr=False)
    ledger: LedgerHost = field(repr=False)


@dataclass(frozen=True)
class Inventory:
    """All hosts of a site."""

    path: Path
    hosts: dict[str, Host]
    ledger: Ledger
    # False where there is no ledger and this one was made up (`medsec.inventory.local`).
    registered: bool = True
    # How many hosts of a group may be worked on at once (`medsec_site_forks`), by the group's name.
    site_forks: Mapping[str, int] = field(default_factory=dict)

    def limit(self, patterns: Iterable[str] = ()) -> list[Host]:
        """Return the hosts that `patterns` name (host names, group names or globs, `!name` to leave out).

        All of them without patterns. Raises UsageError for a pattern that matches nothing.
        """
        wanted: set[str] = set()
        unwanted: set[str] = set()
        given = [part for pattern in patterns for part in pattern.replace(":", ",").split(",") if part]
        for pattern in given:
            matched = {
                host.name
                for host in self.hosts.values()
                if any(fnmatch.fnmatchcase(name, pattern.lstrip("!")) for name in (host.name, "all", *host.groups))
            }
            if not matched:
                raise UsageError(self._unknown(pattern))
            (unwanted if pattern.startswith("!") else wanted).update(matched)
        if not wanted and len(given) == sum(pattern.startswith("!") for pattern in given):
            wanted = set(self.hosts)
        chosen = [host for host in self.hosts.values() if host.name in wanted - unwanted]
        if not chosen:
            raise UsageError(self._unknown(",".join(given)))
        return chosen

    def _unknown(self, pattern: str) -> str:
        groups = sorted({group for host in self.hosts.values() for group in host.groups})
        hosts = ", ".join(list(self.hosts)[:20])
        return says(
            en=f"{self.path}: {pattern!r} matches no host; hosts: {hosts}; groups: {', '.join(groups)}",
            zh=f"{self.path}：{pattern!r} 未匹配任何主机；主机：{hosts}；主机组：{'、'.join(groups)}",
        )
