"""Which copies of the hosts' backups other hosts keep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

from medsec.backups.survey import Answer, Copy, State, named
from medsec.catalogue.controls import Controls
from medsec.errors import MedsecError, ProbeError
from medsec.inventory import Host, Inventory, effective
from medsec.judge.ssh import SshTransport
from medsec.judge.transport import Limits
from medsec.probes.backup_copies import Snapshot, keeper
from medsec.text import Text, says

COPIED = "backups_copied_off_server"


def with_copies(inventory: Inventory, controls: Controls, answers: Sequence[Answer]) -> Iterator[Answer]:
    """Yield `answers` with the copies that the ledger's keepers hold; a keeper that does not tell is a problem of theirs."""
    names = list(dict.fromkeys(kept.host for answer in answers for kept in answer.host.ledger.copied_to))
    hosts = [inventory.hosts[name] for name in names]
    with ThreadPoolExecutor(max_workers=max(1, min(10, len(hosts)))) as pool:
        told = dict(zip(names, pool.map(lambda host: _kept_by(inventory, controls, host), hosts), strict=True))
    for answer in answers:
        held: dict[str, tuple[Snapshot, ...]] = {}
        problems: list[Text] = []
        for entry in answer.host.ledger.copied_to:
            match told[entry.host]:
                case MedsecError() as error:
                    problems.append(named(inventory.hosts[entry.host], error))
                case found:
                    held[entry.host] = found
        states = [replace(state, copies=_of(state, held)) for state in answer.states]
        yield replace(answer, states=states, problems=[*answer.problems, *problems])


def _kept_by(inventory: Inventory, controls: Controls, host: Host) -> tuple[Snapshot, ...] | MedsecError:
    params = effective(controls[COPIED], host, inventory.ledger)
    try:
        connection = SshTransport(Limits(connect=10, command=120)).connect(host)
        try:
            found = keeper(connection, params.directory, params.settings)
        finally:
            connection.close()
    except MedsecError as error:
        return error
    if found.unread is not None:
        return ProbeError(
            says(en=f"the copies cannot be read: {found.unread}", zh=f"副本库无法读取：{found.unread}")
        )
    return found.snapshots or ()


def _of(state: State, held: dict[str, tuple[Snapshot, ...]]) -> dict[str, Copy | None]:
    """Return the newest copy of the state's backups that each keeper holds."""
    copies: dict[str, Copy | None] = {}
    for name, found in held.items():
        own = [one for one in found if (one.host, one.product) == (state.job.host.name, state.job.product)]
        newest = max(own, key=lambda one: one.started, default=None)
        copies[name] = Copy(newest.set, datetime.fromtimestamp(newest.started, UTC)) if newest else None
    return copies
