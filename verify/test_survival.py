"""Is every host still reachable and at work? What hardening must never take away."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from medsec.errors import HostUnreachable, ProbeError
from medsec.inventory.ledger import Listen
from medsec.judge.reach import answers_to, lets_in
from medsec.judge.subjects import Site, Subject
from medsec.text import in_language, says

SECONDS = 5


@dataclass(frozen=True)
class Vantage:
    """From where a port is asked, and at which address."""

    asker: Subject
    address: str


@pytest.fixture
def vantage(site: Site, subject: Subject, listen: Listen) -> Vantage:
    """The first host within reach that is registered as a source of the port, else the host itself."""
    address = subject.host.ledger.address
    for other in site.subjects:
        if other is subject or not lets_in(listen, other.host.ledger.address, site.inventory.ledger):
            continue
        try:
            other.connection().backend.begin()
        except HostUnreachable:
            continue
        return Vantage(other, address)
    subject.connection().backend.begin()
    return Vantage(subject, "127.0.0.1" if listen.sources == ["local"] else address)


def test_login(subject: Subject) -> None:
    """A fresh login works, and its commands run as root: an open session would outlive a lock-out."""
    subject.fresh().close()


def test_port(site: Site, subject: Subject, listen: Listen, vantage: Vantage) -> None:
    """A registered port answers to whom it is registered for."""
    name, purpose = subject.host.name, listen.purpose
    if listen.protocol == "udp":
        if not _is_bound(subject, listen.port):
            text = says(
                en=f"nothing is bound to port {listen.port}/udp ({purpose.en}) of {name}",
                zh=f"{name} 的端口 {listen.port}/udp（{purpose.zh}）没有进程监听",
            )
            pytest.fail(in_language(text, site.language), pytrace=False)
        return
    if not answers_to(vantage.asker.connection(), vantage.address, listen.port, SECONDS):
        asker = vantage.asker.host.name
        text = says(
            en=f"port {listen.port}/tcp ({purpose.en}) of {name} does not answer to {asker}",
            zh=f"{name} 的端口 {listen.port}/tcp（{purpose.zh}）对 {asker} 无应答",
        )
        pytest.fail(in_language(text, site.language), pytrace=False)


def _is_bound(subject: Subject, port: int) -> bool:
    """UDP gives no sign of life of its own: the socket must be there."""
    connection = subject.connection()
    connection.backend.begin()
    found = connection.run("ss -Hlun %s", f"sport = :{port}")
    if found.rc != 0:
        reason = found.stderr.strip() or "no ss"
        raise ProbeError(
            says(
                en=f"host {subject.host.name}: the UDP sockets cannot be listed: {reason}",
                zh=f"主机 {subject.host.name}：无法列出 UDP 端口：{reason}",
            )
        )
    return bool(found.stdout.strip())
