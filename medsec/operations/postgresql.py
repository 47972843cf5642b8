"""PostgreSQL's audit on every running server: the library, the settings, and their taking effect."""

from __future__ import annotations

import json
import shlex
from collections.abc import Generator

from pyinfra.api import FactBase, OperationError, StringCommand, operation
from pyinfra.api.exceptions import FactProcessError
from pyinfra.context import host

from medsec.inventory import Params
from medsec.operations.contents import content
from medsec.operations.rendering import render
from medsec.resources import root
from medsec.text import says

_ROLE = root() / "roles/database"
Server = dict[str, str]


class Servers(FactBase[list[Server]]):
    """Each running server and what it lacks, as `pgaudit.sh report` says."""

    def command(self, classes: str, secrets: str) -> str:
        return pgaudit("report", classes, secrets)

    @staticmethod
    def default() -> list[Server]:
        """No running server is an empty answer."""
        return []

    def process(self, output: list[str]) -> list[Server]:
        try:
            return [json.loads(line) for line in output]
        except ValueError as error:
            raise FactProcessError(f"pgaudit.sh answered {output!r}") from error


def pgaudit(*arguments: str) -> str:
    """Return the command line that runs the role's `pgaudit.sh`."""
    text = (_ROLE / "files/pgaudit.sh").read_text(encoding="utf-8")
    return shlex.join(["sh", "-c", text, "pgaudit.sh", *arguments])


def _asked(params: Params) -> dict[str, str]:
    return {"classes": ",".join(params.classes), "secrets": params.secrets}


@operation()
def library_installed(*, params: Params) -> Generator[StringCommand]:
    """Install pgaudit for the servers that lack it. Fails where no server runs."""
    servers = host.get_fact(Servers, **_asked(params))
    if not servers:
        raise OperationError(
            says(
                en="the ledger says that PostgreSQL runs here, and no server is running; start it or correct the ledger",
                zh="台账登记本机运行 PostgreSQL，但没有正在运行的服务；请启动服务或更正台账",
            )
        )
    for major in sorted({server["major"] for server in servers if "library" in server["lacks"]}):
        yield StringCommand(
            "if command -v apt-get > /dev/null;"
            f" then DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends install postgresql-{major}-pgaudit;"
            f" else dnf -y install pgaudit_{major}; fi"
        )


@operation()
def audit_settings(*, params: Params) -> Generator[StringCommand]:
    """Write the drop-in of each server whose settings do not audit what they should."""
    for server in host.get_fact(Servers, **_asked(params)):
        if "settings" in server["lacks"]:
            folder = shlex.quote(server["dropin"].rsplit("/", 1)[0])
            owner = server["owner"]
            yield StringCommand(f"[ -d {folder} ] || install -d -o {owner} -g {owner} -m 0755 {folder}")
            text = render(_ROLE / "templates/pgaudit.conf.j2", params.variables() | {"postgresql_server": server})
            yield from content._inner(
                dest=server["dropin"], content=text, mode="0640", user=owner, group=owner, validate=None
            )


@operation()
def settings_in_effect(*, params: Params) -> Generator[StringCommand]:
    """Reload each server on which something has not taken effect, and restart it where that is needed."""
    for server in host.get_fact(Servers, **_asked(params)):
        if server["lacks"]:
            yield StringCommand(pgaudit("settle", server["port"], *_asked(params).values()))
