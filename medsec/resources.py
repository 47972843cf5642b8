"""Where medsec finds what it ships: roles, playbooks, suites, standards, the example clinic."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def root() -> Path:
    """Return the folder that holds `roles/`, `playbooks/`, `verify/`, `standards/`, `inventory/` and `lab/`.

    In a checkout that is its top; in an installed wheel it is `medsec/shipped`.
    """
    package = Path(__file__).resolve().parent
    shipped = package / "shipped"
    return shipped if shipped.is_dir() else package.parent
