"""Tells which files would be changed: the rules of each running server, and what ALTER SYSTEM writes."""

from __future__ import annotations

from medsec.inventory import Params
from medsec.operations.scripts import pghba


def scope(params: Params) -> str:
    """Return the script that prints them."""
    return pghba("scope")
