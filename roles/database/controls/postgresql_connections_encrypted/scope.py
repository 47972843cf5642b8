"""Tells which files would be changed: the servers' settings and rules; keys and certificates stay."""

from __future__ import annotations

from medsec.inventory import Params
from medsec.operations.scripts import pgtls


def scope(params: Params) -> str:
    """Return the script that prints them."""
    return pgtls("scope")
