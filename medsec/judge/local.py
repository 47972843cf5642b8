"""Judging the machine that medsec runs on, without SSH."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from typing import Any

from testinfra.backend.base import BaseBackend, CommandResult

from medsec.inventory.hosts import Host
from medsec.judge.privilege import Privilege, as_root
from medsec.judge.recording import ConnectedHost, connected
from medsec.judge.transport import Limits, too_long, too_much


class LocalTransport:
    """Runs commands on this machine, as root or through `sudo -n`."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()

    def connect(self, host: Host) -> ConnectedHost:
        return connected(_LocalBackend(host.name, self.limits))


class _LocalBackend(BaseBackend):  # type: ignore[misc]
    NAME = "local"

    def __init__(self, name: str, limits: Limits) -> None:
        super().__init__(name)
        self._limits = limits

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        command = self.quote(command, *args)
        seconds = min(self._limits.command, float(kwargs.get("seconds", self._limits.command)))
        line = as_root(command, Privilege(os.geteuid() != 0), seconds=seconds).text
        process = subprocess.Popen(
            ["/bin/sh", "-c", line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            out, err = self._read(process, command, seconds)
        finally:
            _end(process)
        return self.result(process.returncode, command.encode(), out, err)

    def _read(self, process: subprocess.Popen[bytes], command: str, seconds: float) -> tuple[bytes, bytes]:
        deadline = time.monotonic() + seconds
        parts = {"out": bytearray(), "err": bytearray()}
        with selectors.DefaultSelector() as selector:
            for name, stream in (("out", process.stdout), ("err", process.stderr)):
                if stream is not None:
                    selector.register(stream, selectors.EVENT_READ, parts[name])
            while selector.get_map():
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready and time.monotonic() >= deadline:
                    raise too_long(command, seconds)
                for key, _ in ready:
                    data = os.read(key.fd, 65536)
                    if not data:
                        selector.unregister(key.fileobj)
                    key.data.extend(data)
                if sum(map(len, parts.values())) > self._limits.output:
                    raise too_much(command, self._limits.output)
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise too_long(command, seconds) from None
        return bytes(parts["out"]), bytes(parts["err"])


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
