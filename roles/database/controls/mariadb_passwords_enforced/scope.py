"""Tells which option files would be changed, and how what accounts and the server have now comes back."""

from __future__ import annotations

import shlex

from medsec.inventory import Params
from medsec.resources import root


def scope(params: Params) -> str:
    """Return the script that prints the servers' option files, and the SQL that puts accounts and the plugin back."""
    script = (root() / "roles/database/files/mariadb.sh").read_text(encoding="utf-8")
    return shlex.join(["sh", "-c", script, "mariadb.sh", "scope", "passwords"])
