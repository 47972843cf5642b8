"""A Testinfra host that remembers what was asked of it and what it answered."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import testinfra.host
from testinfra.backend.base import BaseBackend, CommandResult

from medsec.errors import ProbeError
from medsec.evidence.findings import CommandRecord
from medsec.text import says

# What one stream of one command may take in a finding's evidence; the digest covers all of it.
EVIDENCE_CHARACTERS = 128 * 1024


@dataclass(frozen=True)
class Timing:
    """When a command really ran, where the backend knows that better than who waited for the answer."""

    started: datetime
    seconds: float


class Recorder(BaseBackend):  # type: ignore[misc]
    """A Testinfra backend in front of another: records each command and keeps to a time limit per check.

    Works over any backend, so that plain `pytest verify --hosts=...` gives the evidence that `medsec verify` gives.
    """

    NAME = "medsec"

    def __init__(self, inner: BaseBackend) -> None:
        super().__init__(inner.get_hostname())
        self.inner = inner
        self.records: list[CommandRecord] = []
        # The first command that gave no answer: a check that swallows the exception must not pass.
        self.broken: Exception | None = None
        self._seconds: float | None = None

    def begin(self, seconds: float | None = None) -> None:
        """Start the record of one check, whose commands may take `seconds` in all (None: no limit)."""
        self.records = []
        self.broken = None
        self._seconds = seconds

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        """Run `command` on the host and record it. Raises ProbeError when the check's time is used up.

        + once: it does something and is no mere question: it must run when it is asked for, and never ahead of that
        """
        whole, once = self.get_command(command, *args), bool(kwargs.get("once"))
        started, clock = datetime.now(UTC), time.monotonic()
        rc: int | None = None
        out = err = b""
        try:
            result = self.inner.run(whole, **self._limit(whole), once=once)
            rc, out, err = result.rc, _bytes(result._stdout), _bytes(result._stderr)
        except Exception as error:
            self.broken = self.broken or error
            raise
        finally:
            timing = getattr(self.inner, "timing", None) or Timing(started, round(time.monotonic() - clock, 3))
            (stdout, cut_out), (stderr, cut_err) = _shorten(out), _shorten(err)
            self.records.append(
                CommandRecord(
                    command=whole,
                    rc=rc,
                    stdout=stdout,
                    stderr=stderr,
                    started=timing.started,
                    seconds=timing.seconds,
                    sha256=hashlib.sha256(out + err).hexdigest(),
                    shortened=cut_out or cut_err,
                    once=once,
                )
            )
        return self.result(rc, whole.encode(), out, err)

    def get_sudo_command(self, command: str, sudo_user: str | None) -> str:
        """Return the line for `host.sudo(user)`: commands are root's already, so another user needs no sudo."""
        if sudo_user is None:
            return str(self.quote("/bin/sh -c %s", command))
        return str(self.quote("runuser -u %s -- /bin/sh -c %s", sudo_user, command))

    def _limit(self, command: str) -> dict[str, float]:
        if self._seconds is None:
            return {}
        left = self._seconds - sum(record.seconds for record in self.records)
        if left <= 0:
            raise ProbeError(
                says(
                    en=f"the check used up its time before `{command:.80}`; look at the host's load, "
                    "or raise --command-timeout (a check may take three times as long)",
                    zh=f"检查超出时限，未能执行 `{command:.80}`；请检查主机负载，"
                    "或调大 --command-timeout（单项检查时限为其三倍）",
                )
            )
        return {"seconds": left}

    def decode(self, data: bytes) -> str:
        """Decode as UTF-8; other bytes (GBK, binary) stay visible as `\\xNN` instead of raising."""
        return data.decode("utf-8", "backslashreplace")

    def encode(self, data: str) -> bytes:
        return data.encode("utf-8", "surrogateescape")

    def close(self) -> None:
        """Close the connection underneath, where there is one."""
        close = getattr(self.inner, "close", None)
        if close is not None:
            close()


class ConnectedHost(testinfra.host.Host):  # type: ignore[misc]
    """A Testinfra host on which an unexpected exit code is an error of the check and not a finding.

    Testinfra raises AssertionError there, which would turn a missing tool into the verdict `fail`.
    """

    backend: Recorder

    def run_expect(self, expected: list[int], command: str, *args: str, **kwargs: Any) -> CommandResult:
        out = self.run(command, *args, **kwargs)
        if out.rc not in expected:
            raise ProbeError(_unexpected(out, expected))
        return out

    def check_output(self, command: str, *args: str, **kwargs: Any) -> str:
        return str(self.run_expect([0], command, *args, **kwargs).stdout.rstrip("\r\n"))

    def close(self) -> None:
        """Close the connection."""
        self.backend.close()


def connected(backend: BaseBackend) -> ConnectedHost:
    """Return a host whose commands run through `backend` and are recorded."""
    recorder = Recorder(backend)
    host = ConnectedHost(recorder)
    recorder.set_host(host)
    return host


def _unexpected(out: CommandResult, expected: list[int]) -> str:
    command = out.command.decode("utf-8", "replace")
    said = (out.stderr or out.stdout).strip().splitlines()
    last = said[-1] if said else ""
    codes = ", ".join(map(str, expected))
    return says(
        en=f"`{command:.200}` ended with exit code {out.rc} (expected {codes}): {last or 'no output'}",
        zh=f"`{command:.200}` 退出码为 {out.rc}（应为 {codes}）：{last or '无输出'}",
    )


def _bytes(data: str | bytes) -> bytes:
    return data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data


def _shorten(data: bytes) -> tuple[str, bool]:
    if len(data) <= EVIDENCE_CHARACTERS:
        return data.decode("utf-8", "backslashreplace"), False
    half = EVIDENCE_CHARACTERS // 2
    head, tail = (part.decode("utf-8", "backslashreplace") for part in (data[:half], data[-half:]))
    return f"{head}\n[... {len(data) - 2 * half} bytes ...]\n{tail}", True
