"""The clinic's definition: what is accepted, and what a person is told about what is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from medsec.lab import LabError
from medsec.lab.definition import default_path, load
from medsec.lab.network import Network

Change = Callable[[dict[str, Any]], None]


def test_the_shipped_clinic_has_the_hosts_that_it_promises() -> None:
    hosts = load().hosts
    assert {name: (host.kind, host.zones, host.tier) for name, host in hosts.items()} == {
        "gateway": ("gateway", ("srv", "bak", "rec"), "container"),
        "his-app": ("server", ("srv",), "container"),
        "his-db": ("db", ("srv",), "container"),
        "backup": ("backup", ("bak",), "container"),
        "terminal-1": ("terminal", ("rec",), "container"),
        "terminal-2": ("terminal", ("rec",), "container"),
        "kernel-1": ("terminal", ("rec",), "vm"),
    }
    assert {hosts["terminal-1"].suite, hosts["terminal-2"].suite} == {"bookworm", "trixie"}


def test_addresses_follow_from_the_numbers() -> None:
    definition = load()
    network = Network(definition, 31)
    links = network.links(definition.hosts["gateway"])
    assert [(link.ipv4, link.ipv6) for link in links] == [
        ("10.97.1.254", "fd66:31:1::254"),
        ("10.97.2.254", "fd66:31:2::254"),
        ("10.97.3.254", "fd66:31:3::254"),
    ]
    assert all(len(name) <= 15 for link in links for name in (link.outer, link.bridge))


@pytest.mark.parametrize("index", [-1, 32])
def test_an_index_out_of_range_is_refused(index: int) -> None:
    with pytest.raises(LabError, match="between 0 and 31"):
        Network(load(), index)


def _set(*path: str, value: Any) -> Change:
    def change(clinic: dict[str, Any]) -> None:
        place = clinic
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("hosts", "his-app", "kind", value="printer"), r"hosts\.his-app\.kind.*'terminal'.*met: 'printer'"),
        (_set("hosts", "his-app", "zones", value=["dmz"]), "his-app: unknown zone 'dmz', known: srv, bak, rec"),
        (_set("hosts", "his-app", "layer", value="web"), "his-app: unknown layer 'web', known: db"),
        (_set("hosts", "his-app", "number", value=20), "his-db: number 20 in zone srv is taken by his-app"),
        (_set("hosts", "his-app", "number", value=254), "his-app: number 254 is the gateway's"),
        (_set("hosts", "his-app", "nmuber", value=9), r"hosts\.his-app\.nmuber"),
        (_set("hosts", "HIS", value={}), r"hosts\.HIS"),
        (_set("zones", "bak", "number", value=1), "two zones have the same number"),
        (_set("hosts", value={}), "hosts: .*at least 1"),
        (_set("schema", value=2), "schema"),
    ],
)
def test_a_wrong_definition_is_refused_by_name(tmp_path: Path, change: Change, said: str) -> None:
    clinic = yaml.safe_load(default_path().read_text(encoding="utf-8"))
    change(clinic)
    path = tmp_path / "clinic.yml"
    path.write_text(yaml.safe_dump(clinic, sort_keys=False), encoding="utf-8")
    with pytest.raises(LabError, match=said) as met:
        load(path)
    assert str(path) in str(met.value)
    assert str(path) in met.value.in_language("zh")


def test_a_file_that_is_missing_or_no_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot read"):
        load(tmp_path / "none.yml")
    (tmp_path / "broken.yml").write_text("hosts: [", encoding="utf-8")
    with pytest.raises(LabError, match="is not YAML"):
        load(tmp_path / "broken.yml")
