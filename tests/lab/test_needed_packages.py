"""A database server keeps the clients that its packages need, though it runs where nobody registered it."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from medsec.catalogue.controls import load_control
from medsec.inventory import Params
from medsec.lab import LabHost
from medsec.operations.remote_control import catalogue, evict
from medsec.resources import root

HOME = root() / "roles/remote_control/controls/database_clients_absent"


def planned(host: LabHost) -> set[str]:
    """Return the packages that the remedy for a terminal would purge."""
    control = load_control(HOME / "control.yml")
    values = {name: parameter.default for name, parameter in control.parameters.items()} | {"kind": "terminal"}
    text = catalogue(Params(control, values), "database_clients.yml")
    answer = host.run_as_root(f"printf %s {shlex.quote(text)} | {evict('plan')}")
    answer.check_returncode()
    return {line.split("\t")[1] for line in answer.stdout.splitlines() if line.startswith("package\t")}


def test_what_a_server_needs_stays(fresh_host: Callable[..., LabHost]) -> None:
    host = fresh_host("terminal")
    host.run_as_root("apt-get -qq -y install postgresql-client-15 > /dev/null", timeout=300).check_returncode()
    assert planned(host) == {"postgresql-client-15", "postgresql-client-common"}
    host.run_as_root("apt-get -qq -y install postgresql-15 > /dev/null", timeout=300).check_returncode()
    assert planned(host) == set()
