"""The units of a database product's backup, and its first one, where there is no fresh one."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Sequence

from pyinfra.api import FactBase, QuoteString, StringCommand, operation
from pyinfra.context import host


class BackupIsFresh(FactBase[bool]):
    """Whether the backup program finds a fresh backup of the product."""

    def command(self, product: str) -> str:
        program = "/usr/local/sbin/medsec-database-backup"
        return f"{program} fresh {shlex.quote(product)} && echo fresh || echo stale"

    def process(self, output: list[str]) -> bool:
        return output == ["fresh"]


class OverrulingDropIns(FactBase[list[str]]):
    """The drop-ins by which the backup's units do something else, or not every day."""

    default = list

    def command(self, product: str) -> str:
        program = "/usr/local/sbin/medsec-database-backup"
        return f"! grep -qs overruled {program} || {program} overruled {shlex.quote(product)}"

    def process(self, output: list[str]) -> list[str]:
        return output


@operation()
def drop_ins_put_aside(*, products: Sequence[str]) -> Generator[StringCommand]:
    """Rename the drop-ins that overrule the units of `products`, so that systemd reads them no more."""
    for path in sorted(
        {path for product in products for path in host.get_fact(OverrulingDropIns, product=product)}
    ):
        yield StringCommand("mv", QuoteString(path), QuoteString(f"{path}.put-aside-by-medsec"))


@operation()
def first_backup(*, product: str) -> Generator[StringCommand]:
    """Make a backup of `product` now, and wait for it, unless there is a fresh one."""
    if not host.get_fact(BackupIsFresh, product=product):
        yield StringCommand("systemctl", "start", f"medsec-database-backup@{product}.service")
