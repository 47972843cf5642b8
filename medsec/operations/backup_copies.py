"""The keys of the copies of backups, and the first copies, where they are missing."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api import FactBase, StringCommand, operation
from pyinfra.context import host

_PROGRAM = "/usr/local/sbin/medsec-backup-copies"
_FETCH = "systemctl start medsec-backup-copies.service"


class CopiesState(FactBase[str]):
    """What the program of the copies says: `unprepared` (also where it is not there yet), `due` or `fine`."""

    def command(self) -> str:
        return (
            f"if ! {_PROGRAM} prepared 2> /dev/null; then echo unprepared;"
            f" elif {_PROGRAM} due; then echo due; else echo fine; fi"
        )

    def process(self, output: list[str]) -> str:
        return output[0]


@operation()
def keys_made() -> Generator[StringCommand]:
    """Make the repository, its key and the SSH key, where one of them is missing."""
    if host.get_fact(CopiesState) == "unprepared":
        yield StringCommand(_PROGRAM, "prepare")


@operation()
def copies_fetched() -> Generator[StringCommand]:
    """Fetch copies and wait for them, where one is due and every server lets this host in."""
    state = host.get_fact(CopiesState)
    if state == "unprepared":  # what the servers say is known only once there are keys
        yield StringCommand(f"if {_PROGRAM} due; then {_FETCH}; fi")
    elif state == "due":
        yield StringCommand(_FETCH)
