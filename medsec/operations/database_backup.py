"""The first backup of a database product, where there is no fresh one."""

from __future__ import annotations

import shlex
from collections.abc import Generator

from pyinfra.api import FactBase, StringCommand, operation
from pyinfra.context import host


class BackupIsFresh(FactBase[bool]):
    """Whether the backup program finds a fresh backup of the product."""

    def command(self, product: str) -> str:
        program = "/usr/local/sbin/medsec-database-backup"
        return f"{program} fresh {shlex.quote(product)} && echo fresh || echo stale"

    def process(self, output: list[str]) -> bool:
        return output == ["fresh"]


@operation()
def first_backup(*, product: str) -> Generator[StringCommand]:
    """Make a backup of `product` now, and wait for it, unless there is a fresh one."""
    if not host.get_fact(BackupIsFresh, product=product):
        yield StringCommand("systemctl", "start", f"medsec-database-backup@{product}.service")
