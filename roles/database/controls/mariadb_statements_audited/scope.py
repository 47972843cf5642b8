"""Tells which option files would be changed, and what had been set at run time."""

from __future__ import annotations

import shlex

from medsec.inventory import Params
from medsec.resources import root


def scope(params: Params) -> str:
    """Return the script that prints the servers' option files, and how to set again what a restart would forget."""
    script = (root() / "roles/database/files/mariadb.sh").read_text(encoding="utf-8")
    return shlex.join(["sh", "-c", script, "mariadb.sh", "scope", "audit"])
