"""Installs set_user for each running server, limits it to the registered persons, and restarts the server once where that is needed."""

from __future__ import annotations

from medsec.inventory import Params
from medsec.operations import postgresql


def deploy(params: Params) -> None:
    postgresql.escalation_installed(name="Install set_user for the servers that lack it", params=params)
    postgresql.escalation_settings(name="Write the settings of escalation", params=params)
    postgresql.escalation_in_effect(
        name="Make settings, accounts and grants take effect, by a restart where that is needed", params=params
    )
