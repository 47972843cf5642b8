"""Tells which units would be put out of use."""

from __future__ import annotations

import shlex

from medsec.inventory import Params
from medsec.resources import root


def scope(params: Params) -> str:
    """Return the script that prints the units that the remedy would stop, disable or mask."""
    script = (root() / "roles/services/files/unneeded.sh").read_text(encoding="utf-8")
    settings = (
        f"SERVICES={shlex.quote(' '.join(params.services))}; PROGRAMS={shlex.quote(' '.join(params.programs))}"
    )
    return f"{settings}\n{{\n{script}\n}} | sed -n 's/^unit \\([^ ]*\\) .*/unit\t\\1/p'"
