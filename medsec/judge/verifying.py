"""A verification: judging a fleet and keeping everything that was seen."""

from __future__ import annotations

import dataclasses
import getpass
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import medsec
from medsec.catalogue.controls import Control
from medsec.catalogue.standards import Standards
from medsec.errors import UsageError
from medsec.evidence.digest import catalogue_digest, value_digest
from medsec.evidence.findings import Finding
from medsec.evidence.reading import Run, load_run
from medsec.evidence.run import (
    SCHEMA,
    ControlFacts,
    HostFacts,
    IdentityFacts,
    Inputs,
    ItemFacts,
    Resumed,
    RunHeader,
)
from medsec.evidence.store import RunStore, new_run_id
from medsec.inventory.effective import Params
from medsec.inventory.hosts import Host, Inventory
from medsec.inventory.profile import VARIABLE
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
    retries: int = 1,
    waivers: Waivers | None = None,
    limits: Limits | None = None,
    on_finding: Callable[[Finding], None] | None = None,
    on_host: Callable[[str], None] | None = None,
    resume: Path | None = None,
) -> Run:
    """Judge `controls` on `hosts`, write a run's folder below `site`, and return it as reports read it.

    `catalogue` is the folder that holds `roles/` and `standards/` (for the digest). The callbacks are called in the
    caller's thread: `on_finding` for each finding, `on_host` when a host is done; `retries` are those of `stream`. Raises
    UsageError before any host is contacted when nothing was selected or a parameter is wrong. When it is interrupted,
    what was seen stays in the folder, which then has no `finished` time. With `resume`, the folder of such a run, only
    the hosts are judged that it had not come to the end of; UsageError is raised where it began with anything else,
    where it was complete, or where another process is writing it.
    """
    if not hosts or not controls:
        raise UsageError(
            says(
                en=f"nothing to verify: {len(hosts)} hosts, {len(controls)} controls were selected; widen the selection",
                zh=f"没有可核查的内容：选中主机 {len(hosts)} 台、控制项 {len(controls)} 项；请放宽选择条件",
            )
        )
    params = parameters(inventory, hosts, controls)
    waivers = Waivers.none() if waivers is None else waivers
    header = _header(inventory, hosts, controls, standards=standards, catalogue=catalogue, argv=argv)
    permissions = waivers.permissions(host.name for host in hosts)
    inputs = _inputs(inventory, hosts, params, waivers)
    header = header.model_copy(update={"inputs": inputs, "permissions": permissions})
    store, done = (RunStore(site, header), set[str]()) if resume is None else _reopened(resume, header)
    try:
        for host in done:
            if on_host is not None:
                on_host(host)
        left = [host for host in hosts if host.name not in done]
        for event in stream(
            inventory,
            left,
            controls,
            transport=transport,
            forks=forks,
            retries=retries,
            waivers=waivers,
            limits=limits,
        ):
            if isinstance(event, HostDone):
                identity = event.identity
                facts = IdentityFacts(**dataclasses.asdict(identity)) if identity is not None else None
                store.host_done(event.host, facts, tries=event.tries)
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


def _reopened(path: Path, now: RunHeader) -> tuple[RunStore, set[str]]:
    """Return the store of a run that was cut short, and the hosts that it need not judge again."""
    load_run(path)  # a folder that holds no run is told as such, and nothing is made in it
    store = RunStore.reopen(path)
    try:
        run = load_run(path)
        _require_the_same(run, now)
        done = run.complete_hosts()
        again = Resumed(started=now.started, operator=now.operator, controller=now.controller, argv=now.argv)
        store.resume(run.header.model_copy(update={"resumed": [*run.header.resumed, again]}), done)
    except BaseException:
        store.close()
        raise
    return store, done


# What two runs of the same may differ in.
_OF_THE_DAY = {"id", "operator", "controller", "argv", "started", "finished", "resumed", "permissions"}
_NAMES = {
    "hosts": says(en="hosts", zh="主机"),
    "controls": says(en="controls", zh="控制项"),
    "catalogue": says(en="the catalogue", zh="控制项目录"),
    "medsec": says(en="medsec's version", zh="medsec 版本"),
    "inputs.inventory": says(
        en="the inventory (ledger, logins, profiles)", zh="主机清单（台账、登录方式、选用范围）"
    ),
    "inputs.parameters": says(en="parameters", zh="参数"),
    "inputs.waivers": says(en="waivers", zh="豁免"),
}


def _require_the_same(run: Run, now: RunHeader) -> None:
    """Raise UsageError unless the run can be gone on with by what `now` would begin."""
    if run.finished:
        raise UsageError(
            says(
                en=f"{run.path}: the run is complete; leave out --resume to verify again",
                zh=f"{run.path}：该次运行已完成；如需重新核查，请去掉 --resume",
            )
        )
    begun, asked = (_flat(header) for header in (run.header, now))
    other = [_NAMES.get(name, says(en=name, zh=name)) for name in asked if begun[name] != asked[name]]
    if other:
        raise UsageError(
            says(
                en=f"{run.path}: the run began with other values than now of: {', '.join(name.en for name in other)}. "
                "Results of both do not belong into one run: put back what changed, or verify anew without --resume",
                zh=f"{run.path}：以下内容与该次运行开始时不同：{'、'.join(name.zh for name in other)}。"
                "两者的结果不能并入同一次运行：请恢复原样，或去掉 --resume 重新核查",
            )
        )


def _flat(header: RunHeader) -> dict[str, Any]:
    value = header.model_dump(mode="json", exclude=_OF_THE_DAY)
    inputs = value.pop("inputs")
    # The order of hosts and controls says nothing.
    for name, key in (("hosts", "name"), ("controls", "id")):
        value[name] = sorted(value[name], key=lambda entry: entry[key])
    return value | {f"inputs.{name}": digest for name, digest in inputs.items()}


def _inputs(
    inventory: Inventory, hosts: Sequence[Host], params: Mapping[str, Mapping[str, Params]], waivers: Waivers
) -> Inputs:
    known = {
        host.name: [
            dataclasses.asdict(dataclasses.replace(host.login, password=None)),
            host.variables.get(VARIABLE),
            host.ledger.model_dump(mode="json"),
        ]
        for host in hosts
    }
    values = {host: {control: dict(given) for control, given in found.items()} for host, found in params.items()}
    return Inputs(
        inventory=value_digest([known, inventory.ledger.model_dump(mode="json", exclude={"hosts"})]),
        parameters=value_digest(values),
        waivers=value_digest(waivers.as_written()),
    )


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
        operator=operator(),
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


def operator() -> str:
    """Who ran it: the person behind sudo, where sudo tells."""
    user = getpass.getuser()
    behind = os.environ.get("SUDO_USER")
    return f"{behind} (sudo: {user})" if behind and behind != user else user
