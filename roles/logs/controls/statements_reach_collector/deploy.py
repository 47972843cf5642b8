"""Lets rsyslog forward what the databases write of statements, through a queue that goes to the disk."""

from __future__ import annotations

from pyinfra.operations import server, systemd
from pyinfra.operations.util import any_changed

from medsec.inventory import Params
from medsec.operations.statement_logs import RESTART, settings_read
from medsec.operations.templates import template


def deploy(params: Params) -> None:
    """Apply the remedy; a site whose own settings forward keeps its own."""
    if params.own:
        return
    server.packages(
        name="Install rsyslog and its reliable transport", packages=["rsyslog", "rsyslog-relp"], present=True
    )
    written = template(
        name="Forward the databases' logs to the registered collector",
        src="roles/logs/templates/statements-forward.conf.j2",
        dest="/etc/rsyslog.d/00-medsec-statements.conf",
        params=params,
        mode="0644",
        validate="rsyslogd -N1 -f %s",
    )
    # Its socket starts it by the name that it has only where it is enabled.
    systemd.service(name="Start rsyslog at boot", service="rsyslog.service", enabled=True, running=None)
    systemd.service(name="Start rsyslog now", service="rsyslog.service", running=True)
    server.shell(name="Let rsyslog read its settings", commands=[RESTART], _if=any_changed(written))
    settings_read(name="Let rsyslog read what it has not read")
