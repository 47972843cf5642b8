"""The way of the statements' records: rsyslog as it runs, and files of records that others may read."""

from __future__ import annotations

import shlex
from collections.abc import Generator

from pyinfra.api import FactBase, StringCommand, operation
from pyinfra.context import host
from pyinfra.operations import files

from medsec import resources

RESTART = "rsyslogd -N1 && systemctl restart rsyslog.service"


def _script(name: str) -> str:
    return (resources.root() / "roles/logs/files" / name).read_text(encoding="utf-8")


class Unread(FactBase[list[str]]):
    """The settings of rsyslog that changed since it started."""

    def command(self) -> str:
        return shlex.join(["sh", "-c", _script("rsyslog_unread.sh")])

    @staticmethod
    def default() -> list[str]:
        """Nothing printed is nothing changed."""
        return []

    def process(self, output: list[str]) -> list[str]:
        return output


class Loose(FactBase[list[str]]):
    """The files of records that others than root and adm may read or change."""

    def command(self, directory: str) -> str:
        return shlex.join(["sh", "-c", _script("statements_loose.sh"), "statements_loose.sh", directory])

    @staticmethod
    def default() -> list[str]:
        """Nothing printed is nothing found."""
        return []

    def process(self, output: list[str]) -> list[str]:
        return output


@operation()
def settings_read() -> Generator[StringCommand]:
    """Restart rsyslog where its settings changed since it started, and are such as it accepts."""
    if host.get_fact(Unread):
        yield StringCommand(RESTART)


@operation()
def records_closed(*, directory: str) -> Generator[StringCommand]:
    """Let root and adm alone read the records.

    + directory: where the collector keeps them
    """
    for path in host.get_fact(Loose, directory=directory):
        yield from files.file._inner(path=path, user="root", group="adm", mode="0640")
