"""Installs pgaudit for each running server, writes its settings, and restarts it once where that is needed."""

from __future__ import annotations

from medsec.inventory import Params
from medsec.operations import postgresql


def deploy(params: Params) -> None:
    postgresql.library_installed(name="Install pgaudit for the servers that lack it", params=params)
    postgresql.audit_settings(name="Write the settings of the audit", params=params)
    postgresql.settings_in_effect(
        name="Make the settings take effect, by a restart where that is needed", params=params
    )
