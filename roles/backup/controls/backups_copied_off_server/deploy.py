"""Installs what fetches copies of the backups every day and reads them every week, and fetches them where one is due."""

from __future__ import annotations

from pyinfra.operations import files, server, systemd
from pyinfra.operations.util import any_changed

from medsec.inventory import Params
from medsec.operations.backup_copies import copies_fetched, keys_made
from medsec.operations.templates import template

UNITS = (
    "medsec-backup-copies.service",
    "medsec-backup-copies.timer",
    "medsec-backup-copies-check.service",
    "medsec-backup-copies-check.timer",
    "medsec-backup-copies-failed@.service",
)


def deploy(params: Params) -> None:
    """Apply the remedy; a site whose own jobs fetch and read copies keeps its own."""
    if params.own_timers:
        return
    server.packages(name="Install restic", packages=["restic"], present=True)
    for folder in (params.directory, params.settings):
        files.directory(
            name="Make the folders of the copies and of their keys",
            path=folder,
            user="root",
            group="root",
            mode="0700",
        )
    template(
        name="Know the servers by the ledger",
        src="roles/backup/templates/backup-copies.known_hosts.j2",
        dest=f"{params.settings}/known_hosts",
        params=params,
        mode="0600",
    )
    template(
        name="Install the program that fetches copies",
        src="roles/backup/templates/backup-copies.sh.j2",
        dest="/usr/local/sbin/medsec-backup-copies",
        params=params,
        mode="0755",
        validate="sh -n %s",
    )
    units = [
        template(
            name="Install the units of the copies",
            src=f"roles/backup/templates/{unit}.j2",
            dest=f"/etc/systemd/system/{unit}",
            params=params,
            mode="0644",
        )
        for unit in UNITS
    ]
    systemd.daemon_reload(name="Let systemd read the units", _if=any_changed(*units))
    keys_made(name="Make the keys and the repository")
    for unit in UNITS:
        if unit.endswith(".timer"):
            systemd.service(name=f"Schedule {unit}", service=unit, enabled=True, running=True)
    copies_fetched(name="Fetch copies now")
