"""Writes what keeps logs long enough, starts what writes and rotates them, restarts what has not read its settings."""

from __future__ import annotations

from pyinfra import host
from pyinfra.operations import server

from medsec.errors import UsageError
from medsec.inventory import Params
from medsec.operations import log_retention
from medsec.text import says


def deploy(params: Params) -> None:
    """Apply the remedy. Raises UsageError when something is left for a person to decide."""
    wanted = {"days": params.days, "journal_min_mib": params.journal_min_mib}
    server.packages(name="Install logrotate", packages=["logrotate"], present=True)
    log_retention.written(name="Keep logs as long as is required", **wanted)
    log_retention.started(name="Start what writes and rotates logs, now and at boot", **wanted)
    log_retention.restarted(name="Restart the daemons that have not read their settings", **wanted)
    left = host.get_fact(log_retention.Shortfall, **wanted)["by_hand"]
    if left:
        raise UsageError(
            says(
                en=f"{host.name}: to be done by hand: {'; '.join(left)}",
                zh=f"{host.name}：需人工处理：{'；'.join(left)}",
            )
        )
