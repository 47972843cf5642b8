"""Tells which option files would be changed, and how to set again what would be set in the running server; keys stay."""

from __future__ import annotations

import shlex

from medsec.inventory import Params
from medsec.resources import root


def scope(params: Params) -> str:
    """Return the script that prints the servers' option files, and the SQL that undoes the rest."""
    script = (root() / "roles/database/files/mariadb.sh").read_text(encoding="utf-8")
    return shlex.join(["sh", "-c", script, "mariadb.sh", "scope", "tls"])
