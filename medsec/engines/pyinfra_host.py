"""One host's run under pyinfra: log in, become root, then one control after another."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from paramiko import Channel, Transport
from pyinfra.api import Host, StringCommand
from pyinfra.api.exceptions import NestedOperationError
from pyinfra.api.state import StateOperationHostData
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.connectors.util import CommandOutput
from pyinfra.context import ctx_config, ctx_host

from medsec.catalogue.controls import Control, load_control
from medsec.engines.pyinfra_deploys import deploy_of
from medsec.engines.pyinfra_log import HostLog
from medsec.engines.pyinfra_state import JobState
from medsec.engines.reasons import why
from medsec.errors import MedsecError
from medsec.inventory import Params
from medsec.text import Text

Tell = Callable[[dict[str, Any]], None]
_KEEPALIVE = 15  # seconds
_DEAD = 60_000  # milliseconds without any answer after which the line counts as dead


class HostRun:
    """One host's run; `index` is the host's place in the inventory."""

    def __init__(self, state: JobState, host: Host, *, index: int, log: HostLog, tell: Tell) -> None:
        self._state = state
        self._host = host
        self._log = log
        self._tell = tell
        self._control: str | None = None
        self._reported = 0
        self._foreseen = 0
        state.followers[host] = self
        # Keeps pyinfra's keys of operations apart by host; it would share them, names and all, between hosts.
        host.loop_position.append(index)

    def run(self, spec: dict[str, Any]) -> None:
        """Run the controls of `spec` on this host."""
        ctx_config.set(self._state.config.copy())
        ctx_host.set(self._host)
        if not (self._connects() and self._becomes_root(spec["login"])):
            return
        for part in spec["work"]:
            self._run_control(_control(part["home"]), part["params"])
            if not self._lives():
                self._event("connection", "unreachable", message=why("connection lost"))
                return
        with suppress(Exception):
            self._host.disconnect()

    def _connects(self) -> bool:
        try:
            self._host.connect(show_errors=False, raise_exceptions=True)
        except Exception as error:  # noqa: BLE001 - paramiko raises many kinds; each means that there is no login
            self._event("connect", "unreachable", message=why(f"{type(error).__name__}: {error}"))
            return False
        transport = _transport(self._host)
        transport.set_keepalive(_KEEPALIVE)
        _tune(transport.sock)
        return True

    def _becomes_root(self, login: dict[str, Any]) -> bool:
        ask = StringCommand("id -u")
        try:
            _, output = self._host.run_shell_command(
                ask, _sudo=login["sudo"], _sudo_password=login["password"], _timeout=60
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, there is no root
            answer = f"{type(error).__name__}: {error}"
        else:
            answer = output.stdout.strip() or output.stderr.strip()
        if answer.splitlines()[-1:] == ["0"]:
            return True
        self._event("become root", "failed", message=why(f"wanted root (id 0), got: {answer}"))
        return False

    def _run_control(self, control: Control, params: dict[str, Any]) -> None:
        self._control = control.id
        self._foreseen = 0
        self._log.take(self._host)
        try:
            deploy_of(control)(Params(control, params))
        except NestedOperationError:
            self.report()  # its last operation's own words tell what failed
        except MedsecError as error:
            self.report()
            self._failed(error.args[0] if error.args else str(error))
        except Exception as error:  # noqa: BLE001 - a deploy may raise anything; it fails its control, not the host
            words = self._log.take(self._host).errors
            self.report()
            self._failed("; ".join([f"{type(error).__name__}: {error}", *words]))
        else:
            self.report()
            self._finished()
        self._reported = len(self._host.op_hash_order)  # an operation that raised stays without a result
        self._control = None

    def _failed(self, message: str) -> None:
        # In a plan a step may stumble over what an earlier step would have put right.
        if self._state.plan and self._foreseen:
            self._event("deploy", "unknown", message=message)
            self._finished()
        else:
            self._event("deploy", "failed", message=message)

    def _finished(self) -> None:
        self._tell({"type": "finished", "host": self._host.name, "control": self._control})

    def report(self) -> None:
        """Tell of the operations that have ended since the last time."""
        order = self._host.op_hash_order
        while not self._state.plan and self._reported < len(order):
            data = self._state.ops[self._host].get(order[self._reported])
            if data is not None and not data.operation_meta.is_complete():
                return
            if data is not None:
                self._report(order[self._reported], data)
            self._reported += 1

    def _report(self, op_hash: str, data: StateOperationHostData) -> None:
        said = self._log.take(self._host)
        if data.operation_meta.did_error():
            self._event(self._name(op_hash), "failed", message="; ".join(said.errors) or "failed without a word")
        else:
            self._event(self._name(op_hash), "changed" if data.operation_meta.did_change() else "ok")

    def foresee(self, op_hash: str, data: StateOperationHostData) -> None:
        """Say what an operation would do, and let the operations after it know (`_if=other.did_change`)."""
        meta = data.operation_meta
        condition = data.global_arguments.get("_if") or []
        conditions = condition if isinstance(condition, list) else [condition]
        changes = meta.will_change and all(holds() for holds in conditions)
        meta.set_complete(True, ["foreseen"] if changes else [], CommandOutput([]))
        self._foreseen += changes
        shown = self._log.take(self._host).shown if changes else []
        self._event(self._name(op_hash), "changed" if changes else "ok", diff="\n".join(shown) or None)

    def _name(self, op_hash: str) -> str:
        return ", ".join(sorted(self._state.get_op_meta(op_hash).names))

    def _lives(self) -> bool:
        return _transport(self._host).is_active()

    def _event(self, task: str, status: str, *, diff: str | None = None, message: str | None = None) -> None:
        self._tell(
            {
                "type": "event",
                "host": self._host.name,
                "control": self._control,
                "task": task,
                "status": status,
                "diff": diff,
                "message": None if message is None else str(message),
                "message_zh": message.zh if isinstance(message, Text) else None,
            }
        )


@cache
def _control(home: str) -> Control:
    return load_control(Path(home) / "control.yml")


def _transport(host: Host) -> Transport:
    connector = host.connector
    assert isinstance(connector, SSHConnector)
    assert connector.client is not None
    transport = connector.client.get_transport()
    assert transport is not None
    return transport


def _tune(sock: Any) -> None:
    """Send small packets at once, and notice a dead line within a minute."""
    while isinstance(sock, Channel):  # a jump host: the real socket is further down
        sock = sock.get_transport().sock
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD)
