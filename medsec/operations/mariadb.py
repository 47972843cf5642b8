"""MariaDB's settings on every running server: what is written for them, and their taking effect."""

from __future__ import annotations

import json
import shlex
from collections.abc import Generator, Iterator
from typing import Literal

from pyinfra.api import FactBase, OperationError, StringCommand, operation
from pyinfra.api.exceptions import FactProcessError
from pyinfra.context import host

from medsec.inventory import Params
from medsec.operations.contents import content
from medsec.operations.listening import open_ports
from medsec.operations.rendering import render
from medsec.resources import root
from medsec.text import says

_ROLE = root() / "roles/database"
Server = dict[str, str]
Subject = Literal["audit", "access", "passwords", "tls"]


class Servers(FactBase[list[Server]]):
    """Each running server and what it lacks of a subject, as `mariadb.sh report` says."""

    def command(self, subject: str, wanted: list[str]) -> str:
        return mariadb("report", subject, *wanted)

    @staticmethod
    def default() -> list[Server]:
        """No running server is an empty answer."""
        return []

    def process(self, output: list[str]) -> list[Server]:
        try:
            return [json.loads(line) for line in output]
        except ValueError as error:
            raise FactProcessError(f"mariadb.sh answered {output!r}") from error


def mariadb(*arguments: str) -> str:
    """Return the command line that runs the role's `mariadb.sh`."""
    text = (_ROLE / "files/mariadb.sh").read_text(encoding="utf-8")
    return shlex.join(["sh", "-c", text, "mariadb.sh", *arguments])


def _wanted(subject: Subject, params: Params) -> list[str]:
    if subject == "audit":
        return [str(params.file_mib)]
    if subject == "passwords":
        return [str(params[name]) for name in ("min_length", "life_days", "max_errors")]
    if subject == "tls":
        ports = open_ports(params, r"(mariadbd|mysqld)$")
        return [str(params.required), ports, params.certificate, params.key, str(params.days)]
    return [",".join(sorted(set(_permitted(params))))]


def _permitted(params: Params) -> Iterator[str]:
    """Return the networks that the ledger lets reach MariaDB."""
    for entry in params.listens:
        if entry["process"] in ("mariadbd", "mysqld"):
            for name in entry["sources"]:
                if name != "local":
                    yield from params.address_sets[name]


@operation()
def settings_written(*, subject: Subject, params: Params) -> Generator[StringCommand]:
    """Write the drop-in of each server whose settings are not what they should be. Fails where no server runs."""
    servers = host.get_fact(Servers, subject=subject, wanted=_wanted(subject, params))
    if not servers:
        raise OperationError(
            says(
                en="the ledger says that MariaDB runs here, and no server is running; start it or correct the ledger",
                zh="台账登记本机运行 MariaDB，但没有正在运行的服务；请启动服务或更正台账",
            )
        )
    written = set()
    for server in servers:
        dest = f"{server['folder']}/zz-medsec-{subject}.cnf"
        # Servers that share their option files share what is written.
        if "settings" in server["lacks"] and dest not in written:
            written.add(dest)
            text = render(
                _ROLE / f"templates/mariadb-{subject}.cnf.j2", params.variables() | {"mariadb_server": server}
            )
            yield from content._inner(
                dest=dest, content=text, mode="0644", user="root", group="root", validate=None
            )


@operation()
def settled(*, subject: Subject, params: Params) -> Generator[StringCommand]:
    """Put right what has not taken effect on each server, by a restart where that is needed."""
    wanted = _wanted(subject, params)
    for server in host.get_fact(Servers, subject=subject, wanted=wanted):
        if server["lacks"]:
            yield StringCommand(mariadb("settle", server["socket"], subject, *wanted))
