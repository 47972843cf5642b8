"""Stops, purges and quarantines what the catalogue names; the steps are those of evict.sh."""

from __future__ import annotations

from medsec.inventory import Params
from medsec.operations.remote_control import catalogue, evicted, purged


def deploy(params: Params) -> None:
    """Apply the remedy. Raises UsageError when an exception is not registered properly."""
    text = catalogue(params, "database_clients.yml")
    evicted(name="Stop and mask the units, end the processes", kinds=("unit", "process"), catalogue=text)
    purged(name="Purge the packages, their logs kept", catalogue=text)
    evicted(
        name="Move programs, installers and start-up entries to quarantine",
        kinds=("entry", "file"),
        catalogue=text,
    )
