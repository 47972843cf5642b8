"""Looks for every product of the catalogue in the package list, the units, the processes, the files and the start-up entries."""

from __future__ import annotations

from testinfra.host import Host

from medsec.errors import UsageError
from medsec.inventory import Params
from medsec.probes import remote_control
from medsec.resources import root
from medsec.text import says

CATALOGUE = root() / "roles/remote_control/files/products.yml"


def check(host: Host, params: Params) -> None:
    catalogue = remote_control.read_catalogue(CATALOGUE)
    problem = remote_control.catalogue_problem(params.allowed, catalogue)
    if problem:
        raise UsageError(
            says(
                en=f"remote_control_software_absent_allowed: {problem}",
                zh=f"remote_control_software_absent_allowed 取值有误：{problem}",
            )
        )
    found = remote_control.found(host, catalogue, params.allowed, params.search_roots, params.search_depth)
    assert found is None, says(
        en=f"remote-control software is present: {found.en}",
        zh=f"发现远程控制软件：{found.zh}",
    )
