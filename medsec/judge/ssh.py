"""Reaching hosts over SSH: one connection per host, strict host keys, bounded time and output."""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import logging
import secrets
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import paramiko
from paramiko.ssh_exception import NoValidConnectionsError
from testinfra.backend.base import BaseBackend, CommandResult

from medsec.errors import HostUnreachable, LinkFailed
from medsec.evidence.plain import plain
from medsec.inventory.hosts import Host, Login
from medsec.judge.channel import AgentChannel, NotRoot, Traffic
from medsec.judge.frames import Answer, Lane
from medsec.judge.privilege import Line, Privilege, as_root, no_privilege
from medsec.judge.proxy import Proxy
from medsec.judge.recording import ConnectedHost, connected
from medsec.judge.transport import Limits, too_long, too_much
from medsec.text import Text, says

# A library prints nothing: without a handler, paramiko's tracebacks would reach the terminal.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

_WINDOW = 2 * 1024 * 1024
_KEEPALIVE_SECONDS = 15
_DRAIN_SECONDS = 2.0


class SshTransport:
    """Connects with the inventory's own logins: key or agent, `known_hosts` without exceptions, `sudo`."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        # What each host cost, by its name.
        self.traffic: dict[str, Traffic] = {}

    def connect(self, host: Host) -> ConnectedHost:
        traffic = self.traffic.setdefault(host.name, Traffic())
        backend = SshBackend(host, open_clients(host, self.limits), self.limits, traffic)
        traffic.logins += 1
        return connected(backend)


class SshBackend(BaseBackend):  # type: ignore[misc]
    """Sends commands one by one, or many in one frame (`exchange`), over one connection."""

    NAME = "ssh"

    def __init__(
        self, host: Host, clients: list[paramiko.SSHClient], limits: Limits, traffic: Traffic | None = None
    ) -> None:
        super().__init__(host.name)
        # Jump hosts first, the host last. All are kept: paramiko ends a connection that nobody refers to.
        self._clients = clients
        self._client = clients[-1]
        self.limits = limits
        self._login = host.login
        self._privilege = Privilege.of(host.login)
        self._traffic = traffic or Traffic()
        self.agent = AgentChannel(
            self._client, self._traffic, privilege=self._privilege, limits=limits, still_there=self._still_there
        )

    @property
    def host_key(self) -> str | None:
        """The fingerprint of the key that the host showed."""
        transport = self._client.get_transport()
        return fingerprint(transport.get_remote_server_key()) if transport else None

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        command = self.quote(command, *args)
        seconds = min(self.limits.command, float(kwargs.get("seconds", self.limits.command)))
        mark = f"medsec-{secrets.token_hex(8)}"
        line = as_root(command, self._privilege, seconds=seconds, mark=mark)
        rc, out, err = self._execute(line, command, seconds)
        said, root, err = err.partition(f"{mark}\n".encode())
        if not root:
            raise no_privilege(self.hostname, self._login, said.decode(errors="replace"))
        return self.result(rc, command.encode(), out, err)

    def _execute(self, line: Line, command: str, seconds: float) -> tuple[int, bytes, bytes]:
        try:
            transport = self._client.get_transport()
            if transport is None or not transport.is_active():
                raise _lost(self.hostname)
            channel = transport.open_session(window_size=_WINDOW, timeout=self.limits.connect)
            self._traffic.channels += 1
            try:
                channel.exec_command(line.text.encode())
                channel.sendall(line.first)
                channel.shutdown_write()
                return self._read(channel, command, seconds)
            finally:
                channel.close()
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise _lost(self.hostname, error) from error

    def _read(self, channel: paramiko.Channel, command: str, seconds: float) -> tuple[int, bytes, bytes]:
        deadline = time.monotonic() + seconds
        out, err = bytearray(), bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(channel, selectors.EVENT_READ)
            while True:
                answered = selector.select(max(0.0, min(deadline - time.monotonic(), _DRAIN_SECONDS)))
                while channel.recv_ready():
                    out += channel.recv(65536)
                while channel.recv_stderr_ready():
                    err += channel.recv_stderr(65536)
                if len(out) + len(err) > self.limits.output:
                    raise too_much(command, self.limits.output)
                if channel.eof_received or channel.closed:
                    break
                if channel.status_event.is_set() and not answered:
                    break  # it ended, but something it started keeps its output open
                if time.monotonic() >= deadline:
                    self._still_there()
                    raise too_long(command, seconds)
        while channel.recv_ready():  # what arrived between the last look and the end
            out += channel.recv(65536)
        while channel.recv_stderr_ready():
            err += channel.recv_stderr(65536)
        if not channel.status_event.wait(max(1.0, deadline - time.monotonic())):
            self._still_there()
            raise too_long(command, seconds)
        if channel.exit_status < 0:  # the connection ended without an exit code, or a signal ended the command
            self._still_there()
        return channel.exit_status, bytes(out), bytes(err)

    def exchange(self, lanes: Sequence[Lane]) -> Iterator[tuple[int, int, Answer]]:
        """Send what several checks ask in one frame; see `AgentChannel.exchange`."""
        try:
            yield from self.agent.exchange(lanes)
        except NotRoot as error:
            refusal = no_privilege(self.hostname, self._login, str(error))
            if self._login.password is not None:
                self._login.password.refuse(refusal.text)
            raise refusal from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise _lost(self.hostname, error) from error

    def _still_there(self) -> None:
        """Tell a slow command from a dead host: raise HostUnreachable unless the host runs `true` in time."""
        transport = self._client.get_transport()
        try:
            if transport is None:
                raise _lost(self.hostname)
            with contextlib.closing(transport.open_session(timeout=self.limits.connect)) as channel:
                channel.settimeout(self.limits.connect)
                channel.exec_command(b"true")
                if not channel.status_event.wait(self.limits.connect):
                    raise _lost(self.hostname)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise _lost(self.hostname, error) from error

    def close(self) -> None:
        """Close the connection, then those of the jump hosts."""
        self.agent.close()
        for client in reversed(self._clients):
            client.close()


class _UnknownHostKey(paramiko.SSHException):
    def __init__(self, key: paramiko.PKey) -> None:
        super().__init__("unknown host key")
        self.key = key


class _Refuse(paramiko.MissingHostKeyPolicy):
    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise _UnknownHostKey(key)


def fingerprint(key: paramiko.PKey) -> str:
    """Return the SHA-256 fingerprint of `key` as `ssh-keygen -l` prints it."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


class _Client(paramiko.SSHClient):
    """A connection; one that leads through a `ProxyCommand` ends that with itself."""

    proxy: Proxy | None = None

    def close(self) -> None:
        super().close()
        if self.proxy is not None:
            self.proxy.close()


def open_clients(host: Host, limits: Limits) -> list[paramiko.SSHClient]:
    """Return authenticated connections to the jump hosts of `host`, if any, and through them to `host` itself (last).

    Raises HostUnreachable, telling what was met and what to do; LinkFailed where another try may get through.
    """
    login = host.login
    _require_files(host.name, login)
    hops = [_hop(login, text) for text in (login.jump or "").split(",") if text]
    clients: list[paramiko.SSHClient] = []
    try:
        for step in (*hops, login):
            clients.append(_open(host.name, step, limits, clients[-1] if clients else None))
    except HostUnreachable:
        for client in reversed(clients):
            client.close()
        raise
    return clients


def _hop(login: Login, text: str) -> Login:
    user, _, place = text.rpartition("@")
    address, _, port = place.removeprefix("ssh://").partition(":")
    return Login(
        address=address,
        port=int(port or 22),
        user=user or login.user,
        key=login.key,
        known_hosts=login.known_hosts,
    )


def _known_hosts(login: Login) -> Path:
    return login.known_hosts or Path("~/.ssh/known_hosts").expanduser()


def _require_files(name: str, login: Login) -> None:
    known_hosts = _known_hosts(login)
    if not known_hosts.is_file():
        raise HostUnreachable(
            says(
                en=f"host {name}: {known_hosts} is missing, so the host's key cannot be checked; "
                f"read the key at the host's console and add it (`ssh-keyscan {login.address}` shows what the network says)",
                zh=f"主机 {name}：缺少 {known_hosts}，无法核对主机密钥；"
                f"请在主机控制台读取密钥后登记（`ssh-keyscan {login.address}` 可显示网络侧所见的密钥）",
            )
        )
    if login.key is not None and not login.key.is_file():
        raise HostUnreachable(
            says(
                en=f"host {name}: the private key {login.key} does not exist; "
                "correct ansible_ssh_private_key_file or put the key there",
                zh=f"主机 {name}：私钥 {login.key} 不存在；请更正 ansible_ssh_private_key_file，或把私钥放到该处",
            )
        )


def _open(name: str, login: Login, limits: Limits, through: paramiko.SSHClient | None) -> paramiko.SSHClient:
    client = _Client()
    client.set_missing_host_key_policy(_Refuse())
    try:
        client.load_system_host_keys(str(_known_hosts(login)))
        if login.proxy:
            client.proxy = Proxy(login)
        client.connect(
            login.address,
            port=login.port,
            username=login.user,
            key_filename=str(login.key) if login.key else None,
            look_for_keys=login.key is None,
            sock=client.proxy.socket if client.proxy else _socket(login, limits, through),
            timeout=limits.connect,
            banner_timeout=limits.connect,
            auth_timeout=limits.connect,
        )
        if transport := client.get_transport():
            transport.set_keepalive(_KEEPALIVE_SECONDS)
    except (paramiko.SSHException, EOFError, OSError) as error:
        said = client.proxy.said() if client.proxy else ""
        client.close()
        raise _why_not(name, login, error, said) from error
    return client


def _socket(login: Login, limits: Limits, through: paramiko.SSHClient | None) -> Any:
    if through is not None:
        transport = through.get_transport()
        if transport is None:
            raise EOFError("the jump host's connection ended")
        return transport.open_channel(
            "direct-tcpip", (login.address, login.port), ("127.0.0.1", 0), timeout=limits.connect
        )
    connection = socket.create_connection((login.address, login.port), timeout=limits.connect)
    # Without it each command waits for a delayed acknowledgement, about 40 ms.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _why_not(name: str, login: Login, error: Exception, said: str) -> HostUnreachable:
    """Return what is to be raised for `error`; `said` is what a `ProxyCommand` said of it."""
    file = _known_hosts(login)
    place = f"{login.user}@{login.address}:{login.port}"
    if str(error) == "Authentication timeout.":
        error = TimeoutError()
    match error:
        case _ if said:
            text = says(
                en=f"host {name} ({place}): its ProxyCommand gets no further: {said}",
                zh=f"主机 {name}（{place}）：ProxyCommand 未能连通：{said}",
            )
        case paramiko.BadHostKeyException():
            text = says(
                en=f"host {name} ({place}): its host key has changed: known {fingerprint(error.expected_key)} in {file}, "
                f"shown {fingerprint(error.key)}. Nothing was sent. Compare at the host's console; "
                f"if it was reinstalled: `ssh-keygen -f {file} -R {login.address}`, then add the new key",
                zh=f"主机 {name}（{place}）：主机密钥已变化：{file} 中登记为 {fingerprint(error.expected_key)}，"
                f"实际出示 {fingerprint(error.key)}。未发送任何内容。请到主机控制台核对；"
                f"确属重装的，执行 `ssh-keygen -f {file} -R {login.address}` 后登记新密钥",
            )
        case _UnknownHostKey():
            text = says(
                en=f"host {name} ({place}): its host key {fingerprint(error.key)} is not in {file}. "
                "Compare it at the host's console and add it",
                zh=f"主机 {name}（{place}）：{file} 中没有其主机密钥 {fingerprint(error.key)}。"
                "请到主机控制台核对后登记",
            )
        case paramiko.PasswordRequiredException():
            text = says(
                en=f"host {name} ({place}): the private key {login.key} has a passphrase; "
                "load it with `ssh-add` or name a key without one",
                zh=f"主机 {name}（{place}）：私钥 {login.key} 设有口令；请先用 `ssh-add` 载入，或改用其他密钥",
            )
        case paramiko.AuthenticationException():
            text = says(
                en=f"host {name} ({place}): the key was refused; check ansible_user, the key "
                f"({login.key or 'agent and ~/.ssh'}) and the host's authorized_keys",
                zh=f"主机 {name}（{place}）：密钥被拒绝；请检查 ansible_user、所用密钥"
                f"（{login.key or 'ssh-agent 与 ~/.ssh'}）及主机上的 authorized_keys",
            )
        case TimeoutError():
            text = says(
                en=f"host {name} ({place}): no answer in time; check that it is on and that the line and firewalls let it through",
                zh=f"主机 {name}（{place}）：连接超时无应答；请确认主机已开机、线路正常且防火墙放行",
            )
        case _:
            reason = _reason(error)
            text = says(
                en=f"host {name} ({place}): cannot be reached: {reason.en}; check that it is on and that sshd answers",
                zh=f"主机 {name}（{place}）：无法连接：{reason.zh}；请确认主机已开机且 sshd 正常",
            )
    return LinkFailed(text) if _may_pass(error, said) else HostUnreachable(text)


def _may_pass(error: Exception, said: str) -> bool:
    """Tell a line that fails from what another try meets in the same way: names, keys, rights."""
    if said:
        return not any(word in said for word in ("Permission denied", "verification failed", "not resolve"))
    if isinstance(error, OSError | EOFError | paramiko.ChannelException):
        return not isinstance(error, socket.gaierror | FileNotFoundError | PermissionError)
    return type(error) is paramiko.SSHException and "private key" not in str(error)


_REASONS = {
    errno.ECONNREFUSED: says(en="connection refused", zh="端口拒绝连接"),
    errno.EHOSTUNREACH: says(en="no route to the host", zh="主机不可达"),
    errno.ENETUNREACH: says(en="no route to its network", zh="网络不可达"),
    errno.ECONNRESET: says(en="connection reset", zh="连接被对方重置"),
}


def _reason(error: Exception) -> Text:
    """Say in both languages what the network or the SSH library said."""
    # paramiko gathers the errors of all addresses of a name
    first = next(iter(error.errors.values())) if isinstance(error, NoValidConnectionsError) else error
    if isinstance(first, socket.gaierror):
        return says(en="the name does not resolve", zh="主机名无法解析")
    number = getattr(first, "errno", None)
    if number in _REASONS:
        return _REASONS[number]
    said = plain(getattr(first, "strerror", None) or str(first) or type(first).__name__)
    return says(en=said, zh=said)


def _lost(name: str, error: Exception | None = None) -> LinkFailed:
    reason = f" ({error})" if error is not None and str(error) else ""
    return LinkFailed(
        says(
            en=f"host {name}: the connection was lost during the run{reason}; verify it again when it is back",
            zh=f"主机 {name}：检查过程中连接中断{reason}；恢复后请重新核查",
        )
    )
