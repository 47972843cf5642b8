"""Which backups a site's hosts make: one job for each database product that the ledger registers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medsec.catalogue.controls import Controls
from medsec.drills.engines import ENGINES
from medsec.errors import UsageError
from medsec.inventory import Host, Inventory, effective
from medsec.text import says

BACKED_UP, DRILLED = "database_backed_up_daily", "restore_drill_recent"


@dataclass(frozen=True)
class Job:
    """How one product of a host is backed up: `home` holds the sets of medsec's own job, `artefacts` matches the site's.

    `product` is the ledger's, or what backs it up in another way (`pgbackrest`, `mariadb-backup`); drills are kept by `drilled`, the ledger's in either case.
    """

    host: Host
    product: str
    drilled: str
    timer: str | None
    home: str | None
    artefacts: str | None
    # What the institution can bear to lose, in seconds.
    rpo: int


def jobs(inventory: Inventory, controls: Controls, hosts: Iterable[Host], system: str | None) -> list[list[Job]]:
    """Return the jobs of each of `hosts` that the ledger registers databases on, of `system` alone if given.

    What backs a product up in another way is one only if `system` names it.

    Raises UsageError where that is nothing.
    """
    chosen = list(hosts)
    found = [
        [
            _job(inventory, controls, host, name, product)
            for product in host.ledger.runs
            for name in [product if system is None else system]
            if (ENGINES[name].product if name in ENGINES else name) == product
        ]
        for host in chosen
    ]
    if not any(found):
        registered = sorted({product for host in chosen for product in host.ledger.runs})
        names = ", ".join(host.name for host in chosen[:10])
        raise UsageError(
            says(
                en=f"the ledger registers no {system or 'database'} (`runs`) on {names}; "
                f"registered there: {', '.join(registered) or 'none'}",
                zh=f"台账未在 {names} 登记 {system or '数据库'}（runs）；已登记：{'、'.join(registered) or '无'}",
            )
        )
    return [of_host for of_host in found if of_host]


def _job(inventory: Inventory, controls: Controls, host: Host, product: str, drilled: str) -> Job:
    params = effective(controls[BACKED_UP], host, inventory.ledger)
    rpo = int(effective(controls[DRILLED], host, inventory.ledger).rpo_minutes) * 60
    registered: Sequence[dict[str, str]] = params.jobs
    for own in registered:
        if own["product"] == product:
            return Job(host, product, drilled, own["timer"], None, own["artefacts"], rpo)
    if product not in ENGINES:
        return Job(host, product, drilled, None, None, None, rpo)
    timer = f"medsec-database-backup@{product}.timer"
    return Job(host, product, drilled, timer, f"{params.directory}/{product}", None, rpo)
