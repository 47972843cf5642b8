"""Tells which settings would be changed in files, and which accounts, extensions and grants would be made."""

from __future__ import annotations

from medsec.inventory import Params
from medsec.operations.scripts import pgadministrators


def scope(params: Params) -> str:
    """Return the script that prints the servers' files of settings, and how to undo in SQL what would be made."""
    accounts = [
        ",".join(one["account"] for one in params.administrators or () if one["role"] == role)
        for role in ("database", "security", "audit")
    ]
    return pgadministrators("scope", *accounts, ",".join(params.databases))
