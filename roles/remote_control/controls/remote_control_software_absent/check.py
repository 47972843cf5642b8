"""Looks for every product of the catalogue in the package list, the units, the processes, the files and the start-up entries."""

from __future__ import annotations

from testinfra.host import Host

from medsec.errors import UsageError
from medsec.inventory import Params
from medsec.probes import remote_control
from medsec.resources import root
from medsec.text import Text, says

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
    allowed = {entry["product"] for entry in params.allowed}
    scan = remote_control.scan(host, catalogue, params.search_roots, params.search_depth)
    found = [
        (product, seen)
        for product in catalogue.products
        if product.id not in allowed and (seen := remote_control.sightings(scan, product, catalogue.also_words))
    ]
    assert not found, _text(scan, found)


def _text(
    scan: remote_control.Scan, found: list[tuple[remote_control.Product, list[remote_control.Sighting]]]
) -> Text:
    english, chinese = [], []
    for product, seen in found:
        shown = [f"{sighting.kind} {sighting.what}" for sighting in seen[:6]]
        more = len(seen) - len(shown)
        ports = remote_control.hints(scan, product)
        english.append(
            f"{product.name.en}: {'; '.join(shown)}"
            + (f"; and {more} more" if more else "")
            + (f"; listens on {', '.join(ports)}" if ports else "")
        )
        chinese.append(
            f"{product.name.zh}：{'；'.join(_KINDS[s.kind] + ' ' + s.what for s in seen[:6])}"
            + (f"；另有 {more} 处" if more else "")
            + (f"；监听端口 {'、'.join(ports)}" if ports else "")
        )
    return says(
        en=f"remote-control software is present: {' | '.join(english)}",
        zh=f"发现远程控制软件：{'。'.join(chinese)}",
    )


_KINDS = {
    "package": "软件包",
    "unit": "服务单元",
    "process": "进程",
    "path": "文件",
    "launch": "自启动项",
    "listener": "监听端口",
}
