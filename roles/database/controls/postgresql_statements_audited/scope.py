"""Tells which settings would be changed: those in files, and those of roles, databases and routines."""

from __future__ import annotations

import shlex

from medsec.inventory import Params
from medsec.resources import root


def scope(params: Params) -> str:
    """Return the script that prints the servers' files of settings, and how to set again what would be reset in SQL."""
    script = (root() / "roles/database/files/pgaudit.sh").read_text(encoding="utf-8")
    return shlex.join(["sh", "-c", script, "pgaudit.sh", "scope"])
