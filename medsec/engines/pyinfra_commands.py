"""How pyinfra runs a command over SSH: the password for sudo goes by stdin, and what a host prints is bounded.

pyinfra's own way puts the password on a command line of the host, ends a reading at the first byte that is no UTF-8, and
keeps whatever a host prints.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from paramiko import Channel
from pyinfra.api import StringCommand
from pyinfra.api.exceptions import PyinfraError
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.connectors.util import CommandOutput, OutputLine, make_unix_command

from medsec.inventory.passwords import Password
from medsec.judge.privilege import Privilege, shell_as_root

# Bytes that are taken of one command's output.
MOST = 16 * 1024 * 1024
_PIECE = 64 * 1024


def install() -> None:
    """Let all SSH hosts of this process run their commands so."""
    setattr(SSHConnector, "run_shell_command", _run_shell_command)  # noqa: B010 - an assignment to a method is refused


def _run_shell_command(
    self: SSHConnector,
    command: StringCommand,
    print_output: bool = False,
    print_input: bool = False,
    **arguments: Any,
) -> tuple[bool, CommandOutput]:
    """Run `command`; return whether its exit code was one of success, and what it printed.

    Raises TimeoutError after `_timeout` seconds, PyinfraError for more output than is taken.
    """
    arguments.pop("_get_pty", None)
    seconds = arguments.pop("_timeout", None)
    stdin = _lines(arguments.pop("_stdin", None))
    accepted = arguments.pop("_success_exit_codes", None) or [0]
    line, first = _line(self.host.name, command, arguments)
    assert self.client is not None
    transport = self.client.get_transport()
    assert transport is not None
    channel = transport.open_session()
    try:
        channel.settimeout(seconds)
        channel.exec_command(line.encode("utf-8", "surrogateescape"))
        channel.sendall(first + stdin)
        channel.shutdown_write()
        output = _read(channel, seconds)
        channel.status_event.wait(seconds)
        return channel.exit_status in accepted, output
    finally:
        channel.close()


def _line(host: str, command: StringCommand, arguments: dict[str, Any]) -> tuple[str, bytes]:
    password = arguments.pop("_sudo_password", None)
    if not (password and arguments.get("_sudo")):
        return make_unix_command(command, **arguments).get_raw_value(), b""
    for name in ("_sudo_user", "_use_sudo_login", "_preserve_sudo_env"):
        if arguments.get(name):
            raise PyinfraError(f"{name} cannot be had together with a password for sudo")
    inner = make_unix_command(command, **{**arguments, "_sudo": False}).get_raw_value()
    # As `sudo -H` does.
    script = f"HOME=~root; export HOME; {inner}"
    line = shell_as_root(
        script, privilege=Privilege(True, Password(host, "_sudo_password", lambda: str(password)))
    )
    return line.text, line.first


def _lines(stdin: Any) -> bytes:
    if not stdin:
        return b""
    lines = stdin.readlines() if hasattr(stdin, "readlines") else stdin
    lines = lines if isinstance(lines, list | tuple) else [lines]
    return b"".join(f"{line.removesuffix(chr(10))}\n".encode() for line in lines)


def _read(channel: Channel, seconds: float | None) -> CommandOutput:
    taken: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}

    def take(name: str, receive: Callable[[int], bytes]) -> None:
        while sum(map(len, taken.values())) <= MOST and (piece := receive(_PIECE)):
            taken[name] += piece
        if sum(map(len, taken.values())) > MOST:
            channel.close()

    readers = [
        gevent.spawn(take, "stdout", channel.recv),
        gevent.spawn(take, "stderr", channel.recv_stderr),
    ]
    if len(gevent.joinall(readers, timeout=seconds, raise_error=True)) != len(readers):
        gevent.killall(readers)
        raise TimeoutError
    if sum(map(len, taken.values())) > MOST:
        raise PyinfraError(f"a command wrote more than {MOST} bytes and was stopped")
    return CommandOutput([OutputLine(name, line) for name, data in taken.items() for line in _text(data)])


def _text(data: bytearray) -> list[str]:
    """Return the lines of `data`; bytes that are no UTF-8, a GBK file name for one, go into a command as they came."""
    return data.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n") if data else []
