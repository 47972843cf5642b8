"""The way to a host through a command (`ProxyCommand`), as OpenSSH takes it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import tempfile

from medsec.evidence.plain import plain
from medsec.inventory.hosts import Login


class Proxy:
    """The command of a login under way; `socket` speaks to what it leads to."""

    def __init__(self, login: Login) -> None:
        """Start it. Raises OSError."""
        self.socket, theirs = socket.socketpair()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        with theirs:
            # A session of its own, so that it has no terminal on which it could ask for a password.
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command(login)}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._errors,
                start_new_session=True,
            )

    def said(self) -> str:
        """Return the last line that it wrote to its standard error."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self._errors.seek(0)
        lines = plain(self._errors.read(65536).decode("utf-8", "replace")).strip().splitlines()
        return lines[-1][:300] if lines else ""

    def close(self) -> None:
        """End it, and what it started."""
        self.socket.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait()
        self._errors.close()


def command(login: Login) -> str:
    """Return the login's `ProxyCommand` with its tokens filled in: %h, %n, %p, %r, %%."""
    values = {"h": login.address, "n": login.address, "p": str(login.port), "r": login.user, "%": "%"}
    return re.sub("%([hnpr%])", lambda found: values[found.group(1)], login.proxy or "")
