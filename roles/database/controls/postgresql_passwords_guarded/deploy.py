"""Writes the settings of passwords for each running server, and restarts it once where that is needed."""

from __future__ import annotations

from medsec.inventory import Params
from medsec.operations import postgresql


def deploy(params: Params) -> None:
    postgresql.password_settings(name="Write the settings of passwords", params=params)
    postgresql.passwords_in_effect(
        name="Make the settings take effect, by a restart where that is needed", params=params
    )
