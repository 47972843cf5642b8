"""Has each running server offer TLS, and let nobody in without where that is required and nobody is cut off by it."""

from __future__ import annotations

from medsec.inventory import Params
from medsec.operations import mariadb


def deploy(params: Params) -> None:
    mariadb.settings_written(name="Write the settings of TLS", subject="tls", params=params)
    mariadb.settled(
        name="Make the settings take effect, by a restart where that is needed", subject="tls", params=params
    )
