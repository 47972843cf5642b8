"""Which ports answer, seen from here or from another host, and who the ledger lets ask."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from medsec.errors import ProbeError, UsageError
from medsec.inventory.ledger import Ledger, Listen
from medsec.judge.recording import ConnectedHost
from medsec.text import says

# How many ports of one host are tried at once: a slow line is not flooded.
_AT_ONCE = 32


def lets_in(listen: Listen, address: str, ledger: Ledger) -> bool:
    """Return whether the ledger registers `address` among the sources of `listen`; `local` is loopback alone."""
    asker = ipaddress.ip_address(address)
    networks = [net for name in listen.sources if name != "local" for net in ledger.address_sets[name]]
    return any(asker in ipaddress.ip_network(net) for net in networks)


def own_address(towards: str) -> str | None:
    """Return the address from which this machine would speak to `towards`, or None where it has no route there.

    No packet is sent.
    """
    family = socket.AF_INET6 if ":" in towards else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((towards, 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def answers(address: str, port: int, seconds: float) -> bool:
    """Return whether a TCP connection to `port` of `address` is accepted within `seconds`, from this machine.

    Refused, dropped and rejected are all `False`; what says nothing about the port (no free socket here, no permission
    to connect) raises ProbeError.
    """
    try:
        with socket.create_connection((address, port), timeout=seconds):
            return True
    except TimeoutError:
        return False
    except OSError as error:
        if error.errno in (
            errno.ECONNREFUSED,
            errno.EHOSTUNREACH,
            errno.ENETUNREACH,
            errno.ECONNRESET,
            errno.EACCES,
        ):
            return False
        raise ProbeError(
            says(
                en=f"port {port} of {address} could not be tried from here: {error}",
                zh=f"无法从本机探测 {address} 的端口 {port}：{error}",
            )
        ) from error


def answering(address: str, ports: Iterable[int], seconds: float) -> list[int]:
    """Return those of `ports` that accept a TCP connection from this machine."""
    tried = sorted(set(ports))
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        open_ = list(pool.map(lambda port: answers(address, port, seconds), tried))
    return [port for port, accepted in zip(tried, open_, strict=True) if accepted]


def answers_to(host: ConnectedHost, address: str, port: int, seconds: int) -> bool:
    """Return whether a TCP connection from `host` to `port` of `address` is accepted.

    Raises ProbeError when the host has no bash or no coreutils to try it with.
    """
    result = host.run("timeout %s bash -c %s", str(seconds), f"exec 3<>/dev/tcp/{address}/{port}")
    if result.rc in (126, 127):
        raise ProbeError(
            says(
                en=f"a connection cannot be tried from there: {result.stderr.strip() or 'no bash'}",
                zh=f"无法从该主机发起探测：{result.stderr.strip() or '缺少 bash'}",
            )
        )
    return bool(result.rc == 0)


def ports(text: str) -> list[int]:
    """Return the ports of a list such as `21,23,5900-5910`. Raises UsageError for anything else."""
    found: list[int] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise UsageError(_not_ports(text))
        span = range(int(first), int(last or first) + 1)
        if not span or span[0] < 1 or span[-1] > 65535:
            raise UsageError(_not_ports(text))
        found += span
    if not found:
        raise UsageError(_not_ports(text))
    return found


def _not_ports(text: str) -> str:
    return says(
        en=f"{text!r} is no list of ports; accepted: numbers from 1 to 65535 and ranges, as 21,23,5900-5910",
        zh=f"{text!r} 不是端口列表；应为 1 至 65535 的端口或范围，如 21,23,5900-5910",
    )
