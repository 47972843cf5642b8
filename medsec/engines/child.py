"""An engine's own process: started, listened to line by line, and never left behind, even if medsec itself is killed."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

from medsec.engines.base import EngineError
from medsec.text import says

# The child learns from this variable which file descriptor its lines go to: not stdout, into which anything may print.
EVENTS_FD = "MEDSEC_EVENTS_FD"
_LAST_WORDS = 4000


class Child:
    """A running engine process."""

    def __init__(self, process: subprocess.Popen[bytes], events: int, output: IO[bytes]) -> None:
        self._process = process
        self._events = events
        self._output = output

    def lines(self, *, silence: float) -> Iterator[dict[str, Any]]:
        """Yield the messages of the child until it closes its channel.

        Raises EngineError when it says nothing for `silence` seconds.
        """
        rest = b""
        while True:
            if not select.select([self._events], [], [], silence)[0]:
                raise EngineError(
                    says(
                        en=f"the engine said nothing for {silence:.0f} s and was stopped; its last words: "
                        f"{self.last_words()}",
                        zh=f"执行引擎 {silence:.0f} 秒内没有任何进展，已停止；最后输出：{self.last_words()}",
                    )
                )
            piece = os.read(self._events, 1 << 16)
            if not piece:
                return
            *complete, rest = (rest + piece).split(b"\n")
            for line in complete:
                yield json.loads(line)

    def wait(self, *, seconds: float = 60) -> int:
        """Return the exit code of the child, which has closed its channel."""
        return self._process.wait(timeout=seconds)

    def last_words(self) -> str:
        """Return the end of what the child printed."""
        self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, self._output.tell() - _LAST_WORDS))
        return self._output.read().decode("utf-8", "replace").strip() or "-"


@contextmanager
def child(
    argv: Sequence[str], *, env: Mapping[str, str], stdin: bytes = b"", keep: Sequence[int] = ()
) -> Iterator[Child]:
    """Start `argv` in a process group of its own; on leaving, also by interrupt, nothing of that group is left.

    + keep: file descriptors that it gets under the same numbers
    """
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as output, in_memory(stdin) as given:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=given,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**env, EVENTS_FD: str(writing)},
                pass_fds=[writing, *keep],
                start_new_session=True,
            )
        except OSError as error:
            os.close(reading)
            raise EngineError(
                says(en=f"{argv[0]} does not start: {error}", zh=f"{argv[0]} 无法启动：{error}")
            ) from error
        finally:
            os.close(writing)
        try:
            with _leash(process):
                yield Child(process, reading, output)
        finally:
            _end(process)
            os.close(reading)


@contextmanager
def in_memory(data: bytes) -> Iterator[IO[bytes]]:
    """A file that holds `data`, read from its start, and lies on no disk: it may hold secrets."""
    with os.fdopen(os.memfd_create("medsec"), "w+b") as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.write(data)
        stream.flush()
        stream.seek(0)
        yield stream


@contextmanager
def _leash(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the process group of `process` also when medsec is killed: its end of a pipe then closes, and a guard reads that."""
    script = 'read -r _; kill -KILL -- "-$1"'
    guard = subprocess.Popen(
        ["sh", "-c", script, "sh", str(process.pid)], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        yield
    finally:
        guard.kill()
        guard.communicate()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the child's process group to stop, and make it stop after some seconds."""
    for sign, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        if not _group_lives(process):
            return
        os.killpg(process.pid, sign)
        until = time.monotonic() + patience
        while _group_lives(process) and time.monotonic() < until:
            time.sleep(0.02)


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True
