"""A verification: judging a fleet and keeping everything that was seen."""

from __future__ import annotations

import dataclasses
import getpass
import os
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import medsec
from medsec.catalogue.controls import Control
from medsec.catalogue.standards import Standards
from medsec.errors import UsageError
from medsec.evidence.digest import catalogue_digest
from medsec.evidence.findings import Finding
from medsec.evidence.reading import Run, load_run
from medsec.evidence.run import SCHEMA, ControlFacts, HostFacts, IdentityFacts, ItemFacts, RunHeader
from medsec.evidence.store import RunStore, new_run_id
from medsec.inventory.hosts import Host, Inventory
from medsec.inventory.waivers import Waivers
from medsec.judge.judge import HostDone, parameters, stream
from medsec.judge.transport import Limits, Transport
from medsec.text import says


def verify(
    inventory: Inventory,
    hosts: Sequence[Host],
    controls: Sequence[Control],
    *,
    site: Path,
    standards: Standards,
    catalogue: Path,
    argv: Sequence[str] = (),
    transport: Transport | None = None,
    forks: int = 10,
    waivers: Waivers | None = None,
    limits: Limits | None = None,
    on_finding: Callable[[Finding], None] | None = None,
    on_host: Callable[[str], None] | None = None,
) -> Run:
    """Judge `controls` on `hosts`, write a run's folder below `site`, and return it as reports read it.

    `catalogue` is the folder that holds `roles/` and `standards/` (for the digest). The callbacks are called in the
    caller's thread: `on_finding` for each finding, `on_host` when a host is done. Raises UsageError before any host is
    contacted when nothing was selected or a parameter is wrong. When it is interrupted, what was seen stays in the folder, which then
    has no `finished` time.
    """
    if not hosts or not controls:
        raise UsageError(
            says(
                en=f"nothing to verify: {len(hosts)} hosts, {len(controls)} controls were selected; widen the selection",
                zh=f"没有可核查的内容：选中主机 {len(hosts)} 台、控制项 {len(controls)} 项；请放宽选择条件",
            )
        )
    params = parameters(inventory, hosts, controls)
    header = _header(inventory, hosts, controls, standards=standards, catalogue=catalogue, argv=argv)
    store = RunStore(site, header)
    try:
        for event in stream(
            inventory, hosts, controls, transport=transport, forks=forks, waivers=waivers, limits=limits
        ):
            if isinstance(event, HostDone):
                identity = event.identity
                facts = IdentityFacts(**dataclasses.asdict(identity)) if identity is not None else None
                store.host_done(event.host, facts)
                if on_host is not None:
                    on_host(event.host)
                continue
            store.add(event, dict(params[event.host].get(event.control, {})))
            if on_finding is not None:
                on_finding(event)
        store.finish()
    finally:
        store.close()
    return load_run(store.path)


def _header(
    inventory: Inventory,
    hosts: Sequence[Host],
    controls: Sequence[Control],
    *,
    standards: Standards,
    catalogue: Path,
    argv: Sequence[str],
) -> RunHeader:
    ledger = inventory.ledger
    now = datetime.now(UTC)
    return RunHeader(
        schema=SCHEMA,
        id=new_run_id(now),
        medsec=medsec.__version__,
        catalogue=catalogue_digest(catalogue),
        operator=_operator(),
        controller=socket.gethostname(),
        argv=list(argv),
        started=now,
        finished=None,
        institution=ledger.institution,
        mlps_level=ledger.mlps_level,
        deadlines=ledger.deadlines,
        registered=inventory.registered,
        hosts=[HostFacts.of(host) for host in hosts],
        controls=[ControlFacts.of(control) for control in controls],
        items=[ItemFacts.of(item, standards, ledger.mlps_level) for item in standards.items.values()],
    )


def _operator() -> str:
    """Who ran it: the person behind sudo, where sudo tells."""
    user = getpass.getuser()
    behind = os.environ.get("SUDO_USER")
    return f"{behind} (sudo: {user})" if behind and behind != user else user
