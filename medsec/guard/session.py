"""Holding a host: one SSH channel to guard.sh, which saves, records and takes back what it is asked to."""

from __future__ import annotations

import contextlib
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

import paramiko

from medsec.errors import HostUnreachable, MedsecError, ProbeError
from medsec.evidence.plain import plain
from medsec.inventory import Host
from medsec.judge.privilege import Privilege, shell_as_root
from medsec.judge.ssh import SshBackend, open_clients
from medsec.judge.transport import Limits
from medsec.text import says

BASE = "/var/lib/medsec/guard"
_HELD, _ISOLATED = 75, 76
_BEAT_SECONDS = 15
# What a host can make the controller hold of one answer, in bytes.
_MOST = 32 * 1024 * 1024


_NOTHING_CHANGED = says(en="cannot be protected, so nothing is changed there", zh="无法建立保护，不作改动")
_NOT_WHOLE = says(
    en="not everything is as it was; mend what is named and roll back again",
    zh="未能全部恢复原状；请处理所列问题后再次回退",
)
_FAILURES = {
    "session": _NOTHING_CHANGED,
    "save": _NOTHING_CHANGED,
    "arm": _NOTHING_CHANGED,
    "record": says(en="what was changed could not be recorded", zh="未能记录改动"),
    "contents": says(en="the differences cannot be shown", zh="无法显示差异"),
    "edited": says(en="later edits cannot be told", zh="无法判断之后的修改"),
    "revert": _NOT_WHOLE,
    "rollback": _NOT_WHOLE,
}


class GuardError(MedsecError):
    """A host could not be protected, or could not be taken back; it says which and why."""


class HostHeld(GuardError):
    """Somebody else's run holds the host."""


class HostIsolated(GuardError):
    """The host is isolated: nothing else is changed there until it is released."""


@dataclass(frozen=True)
class Change:
    """One thing that a step changed: a path, a package or a unit, with what it was and what it is.

    A path's state reads `file MODE UID:GID SHA256`, `link TARGET`, `directory MODE UID:GID` or `absent`.
    """

    kind: str
    control: str
    what: str
    before: str
    after: str


@dataclass(frozen=True)
class StepState:
    """A step as it lies on the host."""

    number: str
    state: str
    controls: tuple[str, ...]


class Session:
    """A host held for one run. Leaving the context, or losing the link, lets it go."""

    def __init__(self, host: Host, run: str, *, keep: int, limits: Limits | None = None) -> None:
        """Log in and ask for the host; the first request tells whether it was free.

        + run: the run's id, which names its folder on the host
        + keep: of how many earlier runs the copies stay there

        Raises HostUnreachable; a request raises HostHeld, and GuardError where the host has no room or lacks a tool.
        """
        self.host = host
        self.run = run
        self._clients = open_clients(host, limits or Limits())
        self._writing = threading.Lock()
        self._ended = threading.Event()
        self._token = f"medsec-{secrets.token_hex(8)}"
        self._buffer = bytearray()
        try:
            self._start(keep)
        except BaseException:
            self.close()
            raise
        threading.Thread(target=self._beat, daemon=True).start()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def save(self, step: str, spec: str) -> None:
        """Copy everything that `spec` names."""
        self._ask("save", step, payload=spec, seconds=600)

    def arm(self, step: str, seconds: int) -> None:
        """Start the timer that takes the step back after `seconds`."""
        self._ask("arm", step, str(seconds), seconds=60)

    def record(self, step: str) -> list[Change]:
        """Return what has changed since `save`."""
        answer = self._ask("record", step, seconds=300)
        return [Change(*line.split("\t")) for line in answer.splitlines() if line.count("\t") == 4]

    def revert(self, step: str) -> None:
        """Take the whole step back now."""
        self._ask("revert", step, seconds=600)

    def contents(self, step: str) -> str:
        """Return the differences that the step made in files, but for those that only root may read."""
        lines = self._ask("contents", step, seconds=120).splitlines()
        return "\n".join(line.removeprefix("diff\t") for line in lines)

    def edited(self, step: str, controls: list[str]) -> tuple[list[str], str]:
        """Return the paths that were edited since the step was recorded, and the differences that may be shown."""
        lines = self._ask("edited", step, ",".join(controls), seconds=120).splitlines()
        paths = [line.split("\t")[2] for line in lines if line.startswith("path\t")]
        return paths, "\n".join(line.removeprefix("diff\t") for line in lines if line.startswith("diff\t"))

    def rollback(self, step: str, controls: list[str]) -> None:
        """Make what `controls` changed in the step what it was before."""
        self._ask("rollback", step, ",".join(controls), seconds=600)

    def steps(self) -> list[StepState]:
        """Return the run's steps as they lie on the host, in their order."""
        rows = [line.split("\t") for line in self._ask("steps", seconds=60).splitlines()]
        return [StepState(number, state, tuple(controls.split(","))) for number, state, controls in rows]

    def close(self) -> None:
        """Let the host go."""
        self._ended.set()
        for client in reversed(self._clients):
            client.close()

    def _start(self, keep: int) -> None:
        text = Path(__file__).with_name("guard.sh").read_bytes()
        folder = f"{BASE}/{self.run}"
        boot = (
            f"umask 077; mkdir -p {folder} && head -c {len(text)} > {folder}/guard.sh.new && "
            f'[ "$(wc -c < {folder}/guard.sh.new)" -eq {len(text)} ] && mv -f {folder}/guard.sh.new {folder}/guard.sh && '
            f"exec sh {folder}/guard.sh session {self.run} {self._token} {keep}"
        )
        line = shell_as_root(boot, privilege=Privilege.of(self.host.login))
        transport = self._clients[-1].get_transport()
        if transport is None:
            raise self._lost()
        # Its answer is read with the first request's, which saves a round trip.
        self._pending = True
        self._channel = transport.open_session(timeout=15)
        self._channel.set_combine_stderr(True)
        self._channel.exec_command(line.text)
        self._channel.sendall(line.first + text)

    def _started(self) -> None:
        code, said = self._answer(60)
        if code == _HELD:
            raise HostHeld(
                says(
                    en=f"host {self.host.name}: {said}; one run at a time changes a host, try again when it has ended",
                    zh=f"主机 {self.host.name}：{said}；同一时间只允许一次整改，请待其结束后重试",
                )
            )
        if code == _ISOLATED:
            raise HostIsolated(
                says(
                    en=f"host {self.host.name}: {said}; nothing else is changed there, `medsec release {self.host.name}` first",
                    zh=f"主机 {self.host.name}：处于隔离状态（{said}），不作其他改动；请先执行 `medsec release {self.host.name}`",
                )
            )
        if code != 0:
            raise self._failed("session", said)

    def _ask(self, verb: str, *arguments: str, payload: str = "", seconds: float) -> str:
        data = payload.encode()
        line = " ".join((verb, *arguments, str(len(data)))) + "\n"
        self._send(line.encode() + data)
        if self._pending:
            self._pending = False
            self._started()
        code, said = self._answer(seconds)
        if code != 0:
            raise self._failed(verb, said)
        return said

    def _send(self, data: bytes) -> None:
        try:
            with self._writing:
                self._channel.sendall(data)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._lost() from error

    def _answer(self, seconds: float) -> tuple[int, str]:
        """Read up to the line that ends an answer, and return its code and what stands before it."""
        mark = self._token.encode() + b" "
        self._channel.settimeout(seconds)
        looked = 0
        while True:
            at = self._buffer.find(mark, looked)
            end = self._buffer.find(b"\n", at) if at >= 0 else -1
            if end >= 0:
                before, code = self._buffer[:at], self._buffer[at + len(mark) : end]
                del self._buffer[: end + 1]
                return int(code), plain(before.decode(errors="replace")).strip("\n")
            looked = max(0, len(self._buffer) - len(mark)) if at < 0 else at
            if len(self._buffer) > _MOST:
                self.close()
                raise self._failed("session", f"> {_MOST} bytes")
            try:
                more = self._channel.recv(65536)
            except (OSError, EOFError, paramiko.SSHException) as error:
                raise self._lost() from error
            if not more:
                said = plain(self._buffer.decode(errors="replace")).strip()
                raise self._failed("session", said[-2000:]) if said else self._lost()
            self._buffer += more

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_SECONDS):
            with contextlib.suppress(MedsecError):
                self._send(b"beat 0\n")

    def _failed(self, verb: str, said: str) -> GuardError:
        failure = _FAILURES.get(verb, _FAILURES["session"])
        return GuardError(
            says(
                en=f"host {self.host.name}: {failure.en}: {said}",
                zh=f"主机 {self.host.name}：{failure.zh}：{said}",
            )
        )

    def _lost(self) -> HostUnreachable:
        return HostUnreachable(
            says(
                en=f"host {self.host.name}: the connection was lost while its changes were being watched",
                zh=f"主机 {self.host.name}：守护改动期间连接中断",
            )
        )


def confirm(host: Host, run: str, step: str, limits: Limits | None = None) -> None:
    """Log in anew, become root, and stop the revert timer of the step: that this works is the proof of access.

    Raises HostUnreachable where nobody gets in, GuardError where the login works but root's rights or the timer do not.
    """
    limits = limits or Limits(connect=10, command=40)
    backend = SshBackend(host, open_clients(host, limits), limits)
    try:
        done = backend.run(f"sh {BASE}/{run}/guard.sh confirm {run} {step}")
    except ProbeError as error:
        raise GuardError(says(en=error.in_language("en"), zh=error.in_language("zh"))) from error
    finally:
        backend.close()
    if done.rc != 0:
        said = plain(done.stdout + done.stderr).strip()[-2000:] or f"exit code {done.rc}"
        raise GuardError(
            says(
                en=f"host {host.name}: a fresh login works, but not what root must do there: {said}",
                zh=f"主机 {host.name}：可以重新登录，但无法以 root 执行：{said}",
            )
        )
