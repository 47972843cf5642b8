"""Both engines make the same bytes of every template."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from medsec import resources
from medsec.catalogue.controls import Control, load_control
from medsec.catalogue.indexes import defaults
from medsec.inventory import Inventory, effective, load_inventory
from medsec.operations.rendering import render

ROOT = resources.root()
# What the two renderers are known to differ in, when nobody looks after it.
AWKWARD = """\
# {{ probe_text }}{# a comment #}
{% for entry in probe_list %}
item {{ entry.name }} {{ entry.port | default('-') }}
{% endfor %}
  {% if probe_flag %}
flag {{ probe_flag }} {{ probe_number }} {{ probe_list | length }}
  {% endif %}
none[{{ none }}] list {{ [1, 'a'] | join(',') }} {{ probe_numbers }}
last line, then an empty one

"""
AWKWARD_VALUES: dict[str, Any] = {
    "probe_text": "汉字 'quoted' \\n \\1 $x",
    "probe_list": [{"name": "a", "port": 22}, {"name": "b"}],
    "probe_flag": True,
    "probe_number": 7,
    "probe_numbers": [1, 2],
}


def given(path: Path) -> dict[str, Any]:
    """Return what a control gives a template beside its parameters, from the role's own files."""
    if path.name.startswith("mariadb-"):
        return {
            "mariadb_server": {
                "output": "syslog",
                "bind": "local",
                "certificate": "/c",
                "key": "/k",
                "require": "yes",
            }
        }
    if path.parents[1].name == "database":
        server = {
            "preload": "pgaudit",
            "collect": "yes",
            "log_directory": "/var/log/postgresql",
            "port": 5432,
            "dba": "dba_li",
            "targets": "",
        }
        server |= {"major": "15", "certificate": "/c", "key": "/k"}
        rules = ["local   all postgres peer", 'host    his "王 建" 10.66.1.10/32 scram-sha-256']
        return {"postgresql_server": server | {"rules": rules}}
    if path.name != "catalogue.tsv.j2":
        return {}
    written = yaml.safe_load((path.parents[1] / "files/products.yml").read_text(encoding="utf-8"))
    return {
        "remote_control_products": written["products"],
        "remote_control_also_words": written["also_words"],
        "remote_control_runnable_suffixes": written["runnable_suffixes"],
        "remote_control_needed_stay": False,
        "remote_control_kind": "",
        "remote_control_allowed": [{"product": "vnc", "approval": "1"}],
        "remote_control_search_roots": ["/opt", "/home"],
        "remote_control_search_depth": 8,
        "remote_control_quarantine": "/var/lib/medsec/quarantine",
    }


@dataclass(frozen=True)
class Rendered:
    """What Ansible's template module wrote, by host and template."""

    folder: Path
    inventory: Inventory

    def bytes_of(self, host: str, family: str, name: str) -> bytes:
        return (self.folder / host / family / name).read_bytes()


def templates() -> list[Path]:
    return sorted(path for path in ROOT.glob("roles/*/templates/**/*.j2") if path.is_file())


def members(family: str) -> list[Control]:
    return [load_control(path) for path in sorted(ROOT.glob(f"roles/{family}/controls/*/control.yml"))]


def hosts(inventory: Inventory, family: str) -> list[str]:
    """One host of each kind, for a family whose parameters come from the ledger; one host for any other."""
    kinds = {host.ledger.kind: host.name for host in inventory.hosts.values()}
    parameters = [parameter for control in members(family) for parameter in control.parameters.values()]
    return list(kinds.values()) if any(parameter.ledger for parameter in parameters) else [min(kinds.values())]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rendered]:
    """Run Ansible's own template module over every template, with the roles' defaults and the example inventory."""
    folder = tmp_path_factory.mktemp("ansible")
    families = {"awkward": [folder / "awkward.conf.j2"]}
    (folder / "awkward.conf.j2").write_text(AWKWARD, encoding="utf-8")
    for path in templates():
        families.setdefault(path.relative_to(ROOT).parts[1], []).append(path)
    for family, paths in families.items():
        text = yaml.safe_dump(AWKWARD_VALUES) if family == "awkward" else defaults(members(family))
        _write(folder / "roles" / family / "defaults/main.yml", text)
        _write(folder / "roles" / family / "tasks/main.yml", yaml.safe_dump(_tasks(folder, family, paths)))
    inventory = load_inventory(ROOT / "inventory")
    plays = [{"hosts": hosts(inventory, name), "gather_facts": False, "roles": [name]} for name in families]
    _write(folder / "play.yml", yaml.safe_dump(plays))
    command = [
        Path(sys.executable).with_name("ansible-playbook"),
        "-i",
        ROOT / "inventory/hosts.yml",
        folder / "play.yml",
    ]
    ran = subprocess.run(
        [*map(str, command), "-e", "ansible_connection=local", "-e", "ansible_become=false"],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_ROLES_PATH": str(folder / "roles"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    yield Rendered(folder / "out", inventory)


def _tasks(folder: Path, family: str, paths: list[Path]) -> list[dict[str, Any]]:
    place = f"{folder}/out/{{{{ inventory_hostname }}}}/{family}"
    tasks: list[dict[str, Any]] = [{"ansible.builtin.file": {"path": place, "state": "directory"}}]
    for path in paths:
        arguments = {"src": str(path), "dest": f"{place}/{path.name}", "mode": "0600"}
        tasks.append({"ansible.builtin.template": arguments, "vars": given(path)})
    return tasks


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_an_awkward_template_is_the_same(rendered: Rendered) -> None:
    ours = render(rendered.folder.parent / "awkward.conf.j2", AWKWARD_VALUES).encode()
    host = hosts(rendered.inventory, "awkward")[0]
    assert ours == rendered.bytes_of(host, "awkward", "awkward.conf.j2")
    assert ours.endswith(b"then an empty one\n\n")


@pytest.mark.parametrize("path", templates(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_roles_template_is_the_same(rendered: Rendered, path: Path) -> None:
    family = path.relative_to(ROOT).parts[1]
    for name in hosts(rendered.inventory, family):
        host = rendered.inventory.hosts[name]
        variables = given(path)
        for control in members(family):
            variables |= effective(control, host, rendered.inventory.ledger).variables()
        assert render(path, variables).encode() == rendered.bytes_of(name, family, path.name), name
