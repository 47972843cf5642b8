"""Looks for every database tool of the catalogue in the package list, the units, the processes, the files and the start-up entries."""

from __future__ import annotations

from testinfra.host import Host

from medsec.errors import UsageError
from medsec.inventory import Params
from medsec.probes import remote_control
from medsec.resources import root
from medsec.text import says

CATALOGUE = root() / "roles/remote_control/files/database_clients.yml"


def check(host: Host, params: Params) -> None:
    catalogue = remote_control.read_catalogue(CATALOGUE)
    problem = remote_control.catalogue_problem(params.allowed, catalogue)
    if problem:
        raise UsageError(
            says(
                en=f"database_clients_absent_allowed: {problem}",
                zh=f"database_clients_absent_allowed 取值有误：{problem}",
            )
        )
    found = remote_control.found(
        host, catalogue.on(params.kind), params.allowed, params.search_roots, params.search_depth
    )
    assert found is None, says(
        en=f"database tools of third parties are present: {found.en}",
        zh=f"发现第三方数据库工具：{found.zh}",
    )
