"""Tells what would be evicted: the places where it may be are too many to be copied."""

from __future__ import annotations

import shlex

from medsec.inventory import Params
from medsec.operations.remote_control import catalogue, evict


def scope(params: Params) -> str:
    """Return the script that prints the files, units and packages that the remedy would put out of use."""
    find = f"printf %s {shlex.quote(catalogue(params, 'database_clients.yml'))} | {evict('plan')}"
    return f"{find} | sed -n -e '/^\\(unit\\|package\\|file\\)\t/p' -e 's/^entry\t/file\t/p'"
