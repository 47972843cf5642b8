"""Hosts under verification by pytest: how a session reaches each, whichever backend it was told to use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from medsec.catalogue.controls import Control
from medsec.errors import ProbeError
from medsec.inventory.hosts import Host, Inventory
from medsec.inventory.waivers import Waivers
from medsec.judge.identity import identify
from medsec.judge.recording import ConnectedHost
from medsec.text import Language


@dataclass
class Subject:
    """A host under verification and how this session reaches it."""

    host: Host
    open: Callable[[], ConnectedHost]
    hint: str = ""
    opened: ConnectedHost | None = field(default=None, repr=False)
    _refusal: Exception | None = field(default=None, repr=False)

    def connection(self) -> ConnectedHost:
        """Return the one connection of this session, made and identified on first use."""
        if self._refusal is not None:
            raise self._refusal
        if self.opened is None:
            try:
                self.opened = self.fresh()
            except Exception as error:
                self._refusal = error
                raise
        return self.opened

    def fresh(self) -> ConnectedHost:
        """Return a new connection; raises unless it leads to the registered system, as root."""
        connection = self.open()
        try:
            identify(self.host, connection)
        except ProbeError as error:
            connection.close()
            if self.hint:
                error.add_note(self.hint)
            raise
        return connection

    def close(self) -> None:
        if self.opened is not None:
            self.opened.close()


@dataclass(frozen=True)
class Site:
    """What the session verifies."""

    inventory: Inventory
    controls: list[Control]
    waivers: Waivers
    subjects: list[Subject]
    danger_ports: list[int]
    language: Language
    today: date
