"""Which failures of a login another try may mend, and the way through a command."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from medsec.errors import HostUnreachable, LinkFailed
from medsec.inventory import Host
from medsec.inventory.hosts import Login
from medsec.inventory.ledger import LedgerHost
from medsec.judge import Limits
from medsec.judge.proxy import Proxy, command
from medsec.judge.ssh import open_clients

LIMITS = Limits(connect=1)


@contextmanager
def listening(*, answer: bytes | None) -> Iterator[int]:
    """Accept connections: say `answer` and close, or say nothing and hold them."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    peer = server.accept()[0]
                except OSError:
                    return
                held.append(peer)
                if answer is not None:
                    peer.sendall(answer)
                    peer.close()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    for peer in held:
        peer.close()


@pytest.fixture
def login(tmp_path: Path) -> Login:
    (tmp_path / "known_hosts").touch()
    return Login("127.0.0.1", port=1, known_hosts=tmp_path / "known_hosts")


def refusal(login: Login) -> HostUnreachable:
    host = Host("here", login, (), {}, LedgerHost.model_construct())
    with pytest.raises(HostUnreachable) as refused:
        open_clients(host, LIMITS)
    assert "here" in str(refused.value)
    return refused.value


def test_a_closed_port_may_open(login: Login) -> None:
    assert isinstance(refusal(login), LinkFailed)


@pytest.mark.parametrize("answer", [None, b"", b"SSH-2.0-x\r\n"])
def test_what_says_nothing_or_breaks_off_may_pass(login: Login, answer: bytes | None) -> None:
    with listening(answer=answer) as port:
        assert isinstance(refusal(replace(login, port=port)), LinkFailed)
        assert isinstance(refusal(replace(login, jump=f"root@127.0.0.1:{port}")), LinkFailed)


def test_what_stays_as_it_is_is_no_failed_link(login: Login, tmp_path: Path) -> None:
    assert not isinstance(refusal(replace(login, key=tmp_path / "missing")), LinkFailed)
    assert not isinstance(refusal(replace(login, known_hosts=tmp_path / "missing")), LinkFailed)


def test_an_unknown_host_key_is_no_failed_link(login: Login) -> None:
    """A real SSH server whose key nobody has registered."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            transport = paramiko.Transport(server.accept()[0])
            transport.add_server_key(paramiko.ECDSAKey.generate())
            transport.start_server(server=paramiko.ServerInterface())

        threading.Thread(target=serve, daemon=True).start()
        met = refusal(replace(login, port=server.getsockname()[1]))
    assert "is not in" in str(met)
    assert not isinstance(met, LinkFailed)


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        ("ssh: connect to host gate port 22: Connection refused", True),
        ("admin@gate: Permission denied (publickey).", False),
        ("Host key verification failed.", False),
        ("ssh: Could not resolve hostname gate: Name or service not known", False),
    ],
)
def test_what_a_command_on_the_way_says_is_told(login: Login, said: str, passes: bool) -> None:
    met = refusal(replace(login, proxy=f"sh -c 'echo \"{said}\" >&2; exit 255'"))
    assert said in str(met)
    assert isinstance(met, LinkFailed) is passes


def test_a_command_on_the_way_that_hangs_is_ended(login: Login, tmp_path: Path) -> None:
    started = time.monotonic()
    met = refusal(replace(login, proxy=f"sh -c 'echo $$ > {tmp_path}/pid; exec sleep 600'"))
    assert isinstance(met, LinkFailed)
    assert time.monotonic() - started < 10
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_tokens_are_filled_in_as_openssh_does(login: Login) -> None:
    given = replace(login, address="10.66.1.9", port=2200, user="ops", proxy="ssh -W %h:%p -l %r gate # 100%% %n")
    assert command(given) == "ssh -W 10.66.1.9:2200 -l ops gate # 100% 10.66.1.9"


def test_a_command_speaks_over_its_socket(login: Login) -> None:
    proxy = Proxy(replace(login, proxy="cat"))
    proxy.socket.sendall(b"there and back")
    assert proxy.socket.recv(100) == b"there and back"
    proxy.close()
    proxy.close()
