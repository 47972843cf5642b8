"""Tells which settings would be changed: those in files, and those of roles and databases."""

from __future__ import annotations

from medsec.inventory import Params
from medsec.operations.scripts import pgpasswords


def scope(params: Params) -> str:
    """Return the script that prints the servers' files of settings, and how to set again what would be reset in SQL."""
    return pgpasswords("scope")
