"""Installs a backup program and a daily timer for each database product, and makes the first backup."""

from __future__ import annotations

from pyinfra.operations import files, systemd
from pyinfra.operations.util import any_changed

from medsec.inventory import Params
from medsec.operations.database_backup import drop_ins_put_aside, first_backup
from medsec.operations.templates import template

KNOWN = {"postgresql", "mariadb"}


def deploy(params: Params) -> None:
    """A product whose backup the site registered (`jobs`) keeps its own."""
    own = sorted(KNOWN & set(params.products) - {job["product"] for job in params.jobs})
    if not own:
        return
    files.directory(
        name="Make the folder of the backups", path=params.directory, user="root", group="root", mode="0700"
    )
    template(
        name="Install the backup program",
        src="roles/backup/templates/database-backup.sh.j2",
        dest="/usr/local/sbin/medsec-database-backup",
        params=params,
        mode="0755",
        validate="sh -n %s",
    )
    units = [
        template(
            name="Install the backup units",
            src=f"roles/backup/templates/medsec-database-backup@.{kind}.j2",
            dest=f"/etc/systemd/system/medsec-database-backup@.{kind}",
            params=params,
            mode="0644",
        )
        for kind in ("service", "timer")
    ]
    units.append(drop_ins_put_aside(name="Put aside what overrules them", products=own))
    systemd.daemon_reload(name="Let systemd read the units", _if=any_changed(*units))
    for product in own:
        systemd.service(
            name=f"Schedule the daily backup: {product}",
            service=f"medsec-database-backup@{product}.timer",
            enabled=True,
            running=True,
        )
        first_backup(name=f"Make the first backup now: {product}", product=product)
