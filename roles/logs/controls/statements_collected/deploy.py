"""Lets rsyslog receive what the registered servers' databases write of statements, into a file for each."""

from __future__ import annotations

from pyinfra.operations import files, server, systemd
from pyinfra.operations.util import any_changed

from medsec.inventory import Params
from medsec.operations.statement_logs import RESTART, records_closed, settings_read
from medsec.operations.templates import template


def deploy(params: Params) -> None:
    """Apply the remedy; a site whose own settings collect keeps its own."""
    if params.own:
        return
    server.packages(
        name="Install rsyslog and its reliable transport",
        packages=["rsyslog", "rsyslog-relp", "logrotate"],
        present=True,
    )
    hosts = (f"{params.directory}/{source['host']}" for source in params.collects_from)
    for folder in (params.directory, *hosts):
        files.directory(name="Make the folders of the records", path=folder, user="root", group="adm", mode="0750")
    records_closed(name="Let root and adm alone read them", directory=params.directory)
    template(
        name="Keep them as long as logs are kept",
        src="roles/logs/templates/medsec-statements.logrotate.j2",
        dest="/etc/logrotate.d/medsec-statements",
        params=params,
        mode="0644",
    )
    written = template(
        name="Receive them from the registered servers",
        src="roles/logs/templates/statements-collect.conf.j2",
        dest="/etc/rsyslog.d/00-medsec-collector.conf",
        params=params,
        mode="0644",
        validate="rsyslogd -N1 -f %s",
    )
    # Its socket starts it by the name that it has only where it is enabled.
    systemd.service(name="Start rsyslog at boot", service="rsyslog.service", enabled=True, running=None)
    systemd.service(name="Start rsyslog now", service="rsyslog.service", running=True)
    server.shell(name="Let rsyslog read its settings", commands=[RESTART], _if=any_changed(written))
    settings_read(name="Let rsyslog read what it has not read")
