"""One channel to a host, over which frames of commands go and answers come back."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import paramiko

from medsec.judge.frames import Answer, Garbled, Lane, Packer, Reader, agent, write_frame
from medsec.judge.privilege import Privilege, shell_as_root
from medsec.judge.transport import Limits

# Reads frames and runs each; all else comes in the first one. It needs no Python, and makes its folder in memory where
# it can. A host that cannot unpack a frame says so (N), and gets it again packed in another way.
_BOOT = r"""
read -r ms_now ms_x </proc/uptime
printf '\n%s %s\n' "$1" "$ms_now"
ms_dir=$(umask 077;mktemp -d /run/medsec-judge.XXXXXX 2>/dev/null||mktemp -d)||exit 1
trap 'rm -rf "$ms_dir"' EXIT
trap 'exit 1' HUP INT TERM PIPE
while read -r ms_len ms_how;do
head -c "$ms_len" >"$ms_dir/in"
[ "$(wc -c <"$ms_dir/in")" -eq "$ms_len" ]||exit 1
if $ms_how <"$ms_dir/in" >"$ms_dir/frame" 2>/dev/null;then . "$ms_dir/frame";else printf N;fi
done
"""
# Lanes of one host that run side by side: more would press a busy server.
AT_ONCE = 4
_FRAME_BYTES = 32 * 1024 * 1024


class NoAgent(Exception):
    """The host cannot run frames, or stopped doing so; commands must be sent one by one."""


class NotRoot(Exception):
    """sudo did not start the shell on the host; the text is what it said."""


@dataclass
class Traffic:
    """What one host cost; the figures do not depend on how fast anything is."""

    logins: int = 0
    # Channels opened, for frames or for one command, and frames sent.
    channels: int = 0
    frames: int = 0
    # Commands that were asked for, and those of them that were sent ahead of being asked.
    commands: int = 0
    ahead: int = 0
    bytes_up: int = 0
    bytes_down: int = 0

    @property
    def round_trips(self) -> int:
        """How often something was waited for after login: twice for a channel (opening, what it runs), once for a frame."""
        return 2 * self.channels + self.frames


class AgentChannel:
    """Frames over one SSH connection, whose shell on the host is root's.

    + opened: the connection
    + traffic: where it counts what it costs
    + privilege: how root is reached
    + still_there: raises HostUnreachable where the host does not answer any more
    """

    def __init__(
        self,
        opened: paramiko.SSHClient,
        traffic: Traffic,
        *,
        privilege: Privilege,
        limits: Limits,
        still_there: Callable[[], None],
    ) -> None:
        self.traffic = traffic
        self._client = opened
        self._privilege = privilege
        self._limits = limits
        self._still_there = still_there
        self._channel: paramiko.Channel | None = None
        self._lanes = 0
        # What goes before the first frame: the password for sudo, where it asks for one.
        self._first = b""
        self._hello = b""
        self._greeted = False
        self._packer = Packer()
        self._boot = datetime.now(UTC)

    def when(self, answer: Answer) -> datetime:
        """Return when the command began, by the controller's clock; late by one way of the line at most."""
        return self._boot + timedelta(seconds=answer.began)

    def exchange(self, lanes: Sequence[Lane]) -> Iterator[tuple[int, int, Answer]]:
        """Send one frame and yield (place of the lane, place in the lane, answer) as answers come.

        A lane in which a command was stopped ends there. Raises HostUnreachable when the connection is lost, NoAgent
        when the host cannot run frames, NotRoot when sudo does not make anybody root, UsageError when its password cannot
        be read.
        """
        first, self._lanes = self._lanes, self._lanes + len(lanes)
        frame = write_frame(lanes, first=first, at_once=AT_ONCE)
        if self._channel is None:
            frame = f"ms_most={self._limits.output + 1}\n{agent()}\n{frame}"
            self._open()
        self.traffic.commands += sum(len(lane.questions) for lane in lanes)
        try:
            yield from self._exchange(frame, first)
        except (Garbled, ValueError) as error:
            self.close()
            raise NoAgent(str(error)) from error

    def _exchange(self, frame: str, first: int) -> Iterator[tuple[int, int, Answer]]:
        while True:
            self._send(self._packer.packed(frame))
            reader = Reader(self._limits.output, _FRAME_BYTES)
            while not reader.ended:
                for lane, number, answer in reader.feed(self._receive()):
                    if first <= lane < self._lanes:
                        yield lane - first, number, answer
            if not reader.refused:
                return
            if not self._packer.refused():
                raise NoAgent("the host takes no frame")

    def _open(self) -> None:
        transport = self._client.get_transport()
        if transport is None:
            raise EOFError
        nonce = secrets.token_hex(8)
        self._hello = f"\n{nonce} ".encode()
        line = shell_as_root(_BOOT.strip(), nonce, privilege=self._privilege)
        self._channel = transport.open_session(timeout=self._limits.connect)
        self._channel.exec_command(line.text.encode())
        self._first = line.first
        self.traffic.channels += 1
        self.traffic.bytes_up += len(line.text)

    def _send(self, data: bytes) -> None:
        if self._channel is None:
            raise NoAgent
        self._channel.settimeout(self._limits.command)
        data, self._first = self._first + data, b""
        try:
            self._channel.sendall(data)
        except OSError as error:
            self._still_there()
            raise NoAgent(str(error)) from error
        self.traffic.frames += 1
        self.traffic.bytes_up += len(data)

    def _receive(self) -> bytes:
        """Return what came, at least a byte. The host gives a sign of life each second while it works on a frame."""
        channel = self._channel
        silent = 0
        waited = b""
        while channel is not None:
            # sudo may ask a slow directory first
            channel.settimeout(self._limits.connect if self._greeted else self._limits.command)
            try:
                data = channel.recv(256 * 1024)
            except TimeoutError:
                self._still_there()
                silent += 1
                if silent > 3 or not self._greeted:
                    raise NoAgent("the shell on the host gives no sign of life") from None
                continue
            self.traffic.bytes_down += len(data)
            if not data:
                self._still_there()
                raise (NoAgent if self._greeted else NotRoot)(self._complaint(channel))
            if self._greeted:
                return data
            waited += data
            if len(waited) > 1024 * 1024:
                raise NoAgent("something else than the shell answers")
            uptime, line, rest = waited.partition(self._hello)[2].partition(b"\n")
            if line:
                self._greeted = True
                self._boot = datetime.now(UTC) - timedelta(seconds=float(uptime))
            if rest:
                return rest
        raise NoAgent

    @staticmethod
    def _complaint(channel: paramiko.Channel) -> str:
        said = channel.recv_stderr(2000) if channel.recv_stderr_ready() else b""
        return said.decode("utf-8", "replace").strip() or "the shell on the host ended"

    def close(self) -> None:
        """End the shell on the host, which takes its folder away."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
