"""Has every running server load the audit for good and write all events, and restarts it where that is needed."""

from __future__ import annotations

from medsec.inventory import Params
from medsec.operations import mariadb


def deploy(params: Params) -> None:
    mariadb.settings_written(name="Write the settings of the audit", subject="audit", params=params)
    mariadb.settled(
        name="Make the settings take effect, by a restart where that is needed", subject="audit", params=params
    )
