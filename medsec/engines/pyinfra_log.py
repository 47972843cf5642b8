"""What pyinfra says, kept by host: differences for plans, words of failure for events."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field

from pyinfra import logger
from pyinfra.api import Host
from pyinfra.context import ctx_host

_LONGEST = 400  # lines kept of one operation


@dataclass
class Said:
    """What was said since the last time: differences, and errors."""

    shown: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class HostLog(logging.Handler):
    """A log handler that sorts pyinfra's lines by the host whose greenlet wrote them."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._said: dict[str, Said] = defaultdict(Said)

    @classmethod
    def install(cls) -> HostLog:
        """Return a handler that takes all that pyinfra logs from now on."""
        handler = cls()
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False
        return handler

    def emit(self, record: logging.LogRecord) -> None:
        host = ctx_host.get()
        if host is None:
            return
        said = self._said[host.name]
        prefix = f"[{host.name}]"
        line = record.getMessage()
        if record.levelno >= logging.WARNING:
            said.errors = [*said.errors, line.removeprefix(prefix).strip()][-_LONGEST:]
        elif "Will " in line or not line.startswith((prefix, "Starting ", "--> ")):
            said.shown = [*said.shown, line.removeprefix(prefix).rstrip()][-_LONGEST:]

    def take(self, host: Host) -> Said:
        """Return what was said about `host` since the last time."""
        return self._said.pop(host.name, None) or Said()
