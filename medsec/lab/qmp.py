"""Talking to a virtual machine's monitor."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from medsec.lab.errors import LabError
from medsec.text import says


@dataclass(frozen=True)
class Monitor:
    """An open monitor of the machine `name`."""

    name: str
    lines: IO[str]

    def do(self, command: str, **arguments: Any) -> Any:
        """Run one command and return its answer. Raises LabError with what the monitor said where it refuses."""
        self.lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.lines.flush()
        while True:
            answer = self._next()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise self._refused(command, answer["error"]["desc"])

    def hmp(self, line: str) -> str:
        """Run one line of the monitor for people; silence means that it was done. Returns what it said."""
        return str(self.do("human-monitor-command", **{"command-line": line}))

    def quietly(self, line: str) -> None:
        """Run one line of the monitor for people that says nothing unless it fails. Raises LabError where it does."""
        said = self.hmp(line).strip()
        if said:
            raise self._refused(line, said)

    def wait_for(self, event: str) -> None:
        """Wait until the machine reports `event`. Raises LabError where it does not."""
        while self._next().get("event") != event:
            pass

    def _next(self) -> dict[str, Any]:
        try:
            line = self.lines.readline()
        except TimeoutError as error:
            raise self._refused("read", "no answer in time") from error
        if not line:
            raise self._refused("read", "the machine is gone")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _refused(self, command: str, said: str) -> LabError:
        return LabError(
            says(
                en=f"{self.name}: the virtual machine's monitor refused {command!r}: {said}",
                zh=f"{self.name}：虚拟机监视器拒绝执行 {command!r}：{said}",
            )
        )


@contextmanager
def monitor(name: str, path: Path, seconds: float = 120) -> Iterator[Monitor]:
    """Open the monitor at the socket `path`; each answer may take `seconds`. Raises LabError where there is none."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        try:
            connection.connect(str(path))
        except OSError as error:
            raise LabError(
                says(
                    en=f"{name} is not running (no monitor at {path}); start it: medsec lab up {name}",
                    zh=f"{name} 未运行（{path} 无监视器）；请先启动：medsec lab up {name}",
                )
            ) from error
        with connection.makefile("rw", encoding="utf-8") as lines:
            talk = Monitor(name, lines)
            lines.readline()  # the greeting
            talk.do("qmp_capabilities")
            yield talk
