"""Shuts what the ledger does not name out of every running server; applications' accounts are left to people."""

from __future__ import annotations

from medsec.inventory import Params
from medsec.operations import mariadb


def deploy(params: Params) -> None:
    mariadb.settings_written(name="Write the settings of the access", subject="access", params=params)
    mariadb.settled(
        name="Make the settings take effect, by a restart where that is needed", subject="access", params=params
    )
