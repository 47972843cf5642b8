"""Makes an account that the registered hosts reach with their keys, and that may do nothing but read sealed backups."""

from __future__ import annotations

from pyinfra import host
from pyinfra.facts.server import Users
from pyinfra.operations import files, server

from medsec.inventory import Params
from medsec.operations.templates import template

PROGRAM = "/usr/local/sbin/medsec-backup-offer"
HOME = "/var/lib/medsec-copies"
FILES = (
    ("Install the program that offers backups", "backup-offer.sh", PROGRAM, "0755", "sh -n %s"),
    (
        "Let the account run it as root",
        "medsec-copies.sudoers",
        "/etc/sudoers.d/medsec-copies",
        "0440",
        "visudo -cf %s",
    ),
    ("Let the registered hosts in", "medsec-copies.authorized_keys", f"{HOME}/.ssh/authorized_keys", "0644", None),
)


def deploy(params: Params) -> None:
    """Apply the remedy; a site with a program of its own keeps its own."""
    if params.program != PROGRAM:
        return
    server.user(
        name="Make the account that backups are offered to",
        user="medsec-copies",
        comment="Offers sealed backups for copying",
        system=True,
        shell="/bin/sh",
        home=HOME,
        create_home=False,
        ensure_home=False,
        password="*",
    )
    if (host.get_fact(Users).get("medsec-copies") or {}).get("groups"):
        server.shell(name="Take it out of other groups", commands=["usermod -G '' medsec-copies"])
    for folder in (HOME, f"{HOME}/.ssh"):
        files.directory(
            name="Make its home, in which it may change nothing",
            path=folder,
            user="root",
            group="root",
            mode="0755",
        )
    for name, source, dest, mode, validate in FILES:
        template(
            name=name,
            src=f"roles/backup/templates/{source}.j2",
            dest=dest,
            params=params,
            mode=mode,
            validate=validate,
        )
