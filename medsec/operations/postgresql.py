"""PostgreSQL on every running server: its audit, and who may reach it."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Generator, Sequence
from typing import Any

from pyinfra.api import FactBase, OperationError, StringCommand, operation
from pyinfra.api.exceptions import FactProcessError
from pyinfra.context import host

from medsec.inventory import Params
from medsec.operations.contents import content
from medsec.operations.listening import open_ports
from medsec.operations.rendering import render
from medsec.operations.scripts import pgadministrators, pgaudit, pghba, pgpasswords, pgtls
from medsec.resources import root
from medsec.text import says

_ROLE = root() / "roles/database"
Server = dict[str, str]


class _Report(FactBase[list[dict[str, Any]]]):
    """What a script of the role says: a line of JSON for each running server, and of what that server lacks."""

    @staticmethod
    def default() -> list[dict[str, Any]]:
        """No running server is an empty answer."""
        return []

    def process(self, output: list[str]) -> list[dict[str, Any]]:
        try:
            return [json.loads(line) for line in output]
        except ValueError as error:
            raise FactProcessError(f"the script of {type(self).__name__} answered {output!r}") from error


class Servers(_Report):
    """Each running server and what it lacks, as `pgaudit.sh report` says."""

    def command(self, classes: str, secrets: str) -> str:
        return pgaudit("report", classes, secrets)


def _asked(params: Params) -> dict[str, str]:
    return {"classes": ",".join(params.classes), "secrets": params.secrets}


@operation()
def library_installed(*, params: Params) -> Generator[StringCommand]:
    """Install pgaudit for the servers that lack it. Fails where no server runs."""
    servers = host.get_fact(Servers, **_asked(params))
    _require(servers)
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
            yield from _dropins(
                server, ("pgaudit.conf.j2", "dropin"), ("pg_libraries.conf.j2", "libraries"), params=params
            )


def _dropins(server: Server, *files: tuple[str, str], params: Params) -> Generator[StringCommand]:
    """Write drop-ins of a server; each is a template and what `server` calls its place."""
    folder, owner = shlex.quote(server["dropin"].rsplit("/", 1)[0]), server["owner"]
    yield StringCommand(f"[ -d {folder} ] || install -d -o {owner} -g {owner} -m 0755 {folder}")
    for source, place in files:
        text = render(_ROLE / "templates" / source, params.variables() | {"postgresql_server": server})
        yield from content._inner(
            dest=server[place], content=text, mode="0640", user=owner, group=owner, validate=None
        )


@operation()
def settings_in_effect(*, params: Params) -> Generator[StringCommand]:
    """Reload each server on which something has not taken effect, and restart it where that is needed."""
    for server in host.get_fact(Servers, **_asked(params)):
        if server["lacks"]:
            yield StringCommand(pgaudit("settle", server["port"], *_asked(params).values()))


class Reach(_Report):
    """How each running server lets in more than it should, as `pghba.sh report` says."""

    def command(self, listens: str, sets: str, methods: str) -> str:
        return pghba("report", listens, sets, methods)


def _registered(params: Params) -> dict[str, str]:
    return {
        "listens": json.dumps(params.listens),
        "sets": json.dumps(params.address_sets),
        "methods": ",".join(params.methods),
    }


@operation()
def nobody_cut_off(*, params: Params) -> Generator[StringCommand]:
    """Refuse to go on where no server runs, or where narrowing would cut off whom it must not."""
    servers = host.get_fact(Reach, **_registered(params))
    _require(servers)
    for server in servers:
        if server["lacks"] and server["refuse"]:
            raise OperationError(
                says(
                    en=f"the server on port {server['port']} is left as it is: {server['refuse']}",
                    zh=f"端口 {server['port']} 上的服务保持原状，须先人工处理：{server['refuse']}",
                )
            )
    yield from ()


@operation()
def rules_narrowed(*, params: Params) -> Generator[StringCommand]:
    """Write the rules of each server that lets in more than the ledger registers."""
    for server in host.get_fact(Reach, **_registered(params)):
        if "rules" in server["lacks"]:
            yield from content._inner(
                dest=server["file"],
                content=render(
                    _ROLE / "templates/pg_hba.conf.j2", params.variables() | {"postgresql_server": server}
                ),
                mode="0640",
                user=server["owner"],
                group=server["owner"],
                validate=_parsed_by(server["port"]),
            )


def _parsed_by(port: str) -> str:
    # In base64, since every %s of the script would be taken for the file's place.
    script = base64.b64encode(shlex.split(pghba())[2].encode()).decode("ascii")
    return f'sh -c "$(echo {script} | base64 -d)" pghba.sh parse {port} %s'


@operation()
def reach_in_effect(*, params: Params) -> Generator[StringCommand]:
    """Reload each server on which something has not taken effect; restart it where it listens for nobody."""
    for server in host.get_fact(Reach, **_registered(params)):
        if server["lacks"]:
            yield StringCommand(pghba("settle", server["port"], *_registered(params).values()))


def _require(servers: Sequence[Any]) -> None:
    if not servers:
        raise OperationError(
            says(
                en="the ledger says that PostgreSQL runs here, and no server is running; start it or correct the ledger",
                zh="台账登记本机运行 PostgreSQL，但没有正在运行的服务；请启动服务或更正台账",
            )
        )


class Passwords(_Report):
    """Each running server and what it lacks, as `pgpasswords.sh report` says."""

    def command(self, delay: str) -> str:
        return pgpasswords("report", delay)


@operation()
def password_settings(*, params: Params) -> Generator[StringCommand]:
    """Write the drop-ins of each server that takes weak passwords. Fails where no server runs."""
    servers = host.get_fact(Passwords, delay=str(params.delay_ms))
    _require(servers)
    for server in servers:
        if "settings" in server["lacks"]:
            yield from _dropins(
                server, ("pg_passwords.conf.j2", "dropin"), ("pg_libraries.conf.j2", "libraries"), params=params
            )


@operation()
def passwords_in_effect(*, params: Params) -> Generator[StringCommand]:
    """Reload each server on which something has not taken effect, and restart it where that is needed."""
    for server in host.get_fact(Passwords, delay=str(params.delay_ms)):
        if server["lacks"]:
            yield StringCommand(pgpasswords("settle", server["port"], str(params.delay_ms)))


class Administrators(_Report):
    """Each running server and what it lacks, as `pgadministrators.sh report` says."""

    def command(self, dba: str, security: str, audit: str, databases: str) -> str:
        return pgadministrators("report", dba, security, audit, databases)


def _separated(params: Params) -> dict[str, str]:
    def accounts(role: str) -> str:
        return ",".join(one["account"] for one in params.administrators if one["role"] == role)

    return {
        "dba": accounts("database"),
        "security": accounts("security"),
        "audit": accounts("audit"),
        "databases": ",".join(params.databases),
    }


@operation()
def escalation_installed(*, params: Params) -> Generator[StringCommand]:
    """Install set_user for the servers that lack it. Fails where no server runs."""
    servers = host.get_fact(Administrators, **_separated(params))
    _require(servers)
    for major in sorted({server["major"] for server in servers if "library" in server["lacks"]}):
        yield StringCommand(
            "if command -v apt-get > /dev/null;"
            f" then DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends install postgresql-{major}-set-user;"
            f" else dnf -y install set_user_{major}; fi"
        )


@operation()
def escalation_settings(*, params: Params) -> Generator[StringCommand]:
    """Write the drop-ins of each server on which others than the registered persons may escalate, or may do so unseen."""
    for server in host.get_fact(Administrators, **_separated(params)):
        if "settings" in server["lacks"]:
            yield from _dropins(
                server,
                ("pg_administrators.conf.j2", "dropin"),
                ("pg_libraries.conf.j2", "libraries"),
                params=params,
            )


@operation()
def escalation_in_effect(*, params: Params) -> Generator[StringCommand]:
    """Reload or restart each server where that is needed; then make accounts, extension and grants that are missing."""
    for server in host.get_fact(Administrators, **_separated(params)):
        if server["lacks"]:
            yield StringCommand(pgadministrators("settle", server["port"], *_separated(params).values()))


class Encryption(_Report):
    """Each running server and what it lacks, as `pgtls.sh report` says."""

    def command(self, wanted: list[str]) -> str:
        return pgtls("report", *wanted)


def _encryption(params: Params) -> list[str]:
    ports = open_ports(params, r"(.*/)?(postgres|postmaster|postgresql[^/]*[.]service)$")
    return [str(params.required), ports, params.certificate, params.key, str(params.days)]


@operation()
def certificates_made(*, params: Params) -> Generator[StringCommand]:
    """Make key and certificate for each server that has none. Refuses where a certificate is another's to renew, or no server runs."""
    servers = host.get_fact(Encryption, wanted=_encryption(params))
    _require(servers)
    for server in servers:
        if server["refuse"]:
            raise OperationError(
                says(
                    en=f"the server on port {server['port']} is left as it is: {server['refuse']}",
                    zh=f"端口 {server['port']} 上的服务保持原状，须先人工处理：{server['refuse']}",
                )
            )
    for server in servers:
        if "certificate" in server["lacks"]:
            yield StringCommand(pgtls("certify", server["port"], *_encryption(params)))


@operation()
def encryption_settings(*, params: Params) -> Generator[StringCommand]:
    """Write the drop-in of each server that offers no good TLS."""
    for server in host.get_fact(Encryption, wanted=_encryption(params)):
        if "settings" in server["lacks"]:
            yield from _dropins(server, ("pg_tls.conf.j2", "dropin"), params=params)


@operation()
def encryption_in_effect(*, params: Params) -> Generator[StringCommand]:
    """Reload each server on which something has not taken effect, and let nobody in without TLS where that is required."""
    for server in host.get_fact(Encryption, wanted=_encryption(params)):
        if server["lacks"]:
            yield StringCommand(pgtls("settle", server["port"], *_encryption(params)))
