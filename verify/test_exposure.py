"""What can be seen of a host from here: only what the ledger lets this machine see."""

from __future__ import annotations

import pytest

from medsec.errors import ProbeError
from medsec.judge.reach import answering, answers, lets_in, own_address
from medsec.judge.subjects import Site, Subject
from medsec.text import in_language, says

SECONDS = 3


def test_only_registered_ports_answer(site: Site, subject: Subject) -> None:
    """No dangerous port answers, and no registered one that is not registered for this machine."""
    ledger, host = site.inventory.ledger, subject.host
    for address in _addresses(subject):
        here = own_address(address)
        if here is None:
            raise ProbeError(
                says(
                    en=f"{host.name}: {address} cannot be seen from here: no route",
                    zh=f"{host.name}：本机没有到 {address} 的路由，无法从外部探测",
                )
            )
        registered = [listen for listen in host.ledger.listens if listen.protocol == "tcp"]
        for_us = {listen.port for listen in registered if lets_in(listen, here, ledger)} | {host.login.port}
        closed = {*site.danger_ports, *(listen.port for listen in registered)} - for_us
        open_ = answering(address, closed, SECONDS)
        if open_:
            names = ", ".join(map(str, open_))
            text = says(
                en=f"{host.name}: ports {names} of {address} answer to {here}, for which the ledger does not register them",
                zh=f"{host.name}：{address} 的端口 {names} 对 {here} 开放，台账未登记允许该来源",
            )
            pytest.fail(in_language(text, site.language), pytrace=False)


def _addresses(subject: Subject) -> list[str]:
    """Return the address that is logged in to, and the host's IPv6 addresses that this machine has a route to.

    A host that is off would show no port at all, so its SSH port must answer first.
    """
    login = subject.host.login
    if login.way:
        raise ProbeError(
            says(
                en=f"{subject.host.name} is behind {login.way}: what it shows cannot be seen from here",
                zh=f"{subject.host.name} 位于跳板机 {login.way} 之后，无法从本机探测其开放端口",
            )
        )
    if not answers(login.address, login.port, SECONDS):
        raise ProbeError(
            says(
                en=f"{subject.host.name}: not even port {login.port} of {login.address} answers: nothing can be concluded",
                zh=f"{subject.host.name}：{login.address} 的端口 {login.port} 亦无应答，无法得出结论",
            )
        )
    connection = subject.connection()
    connection.backend.begin()
    said = connection.check_output("ip -6 -o addr show scope global")
    found = [line.split()[3].partition("/")[0] for line in said.splitlines()]
    return [login.address, *(address for address in found if own_address(address) is not None)]
