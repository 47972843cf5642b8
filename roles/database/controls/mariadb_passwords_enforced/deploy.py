"""Has every running server ask for good passwords; what accounts have already is left to people."""

from __future__ import annotations

from medsec.inventory import Params
from medsec.operations import mariadb


def deploy(params: Params) -> None:
    mariadb.settings_written(name="Write the settings of passwords", subject="passwords", params=params)
    mariadb.settled(name="Make the settings take effect", subject="passwords", params=params)
