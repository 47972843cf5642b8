"""Small controls and sites for tests of the engines: each control writes one file below a folder of the test's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from medsec.catalogue.controls import Control, Controls, load_control

BOTH = {"zh": "测试", "en": "Test"}

TASKS = """\
---
- name: Write the file
  ansible.builtin.copy:
    dest: "{{ %(id)s_path }}"
    content: "{{ %(id)s_text }}"
    mode: "0600"
"""
DEPLOY = """\
from medsec.inventory import Params
from medsec.operations.contents import content


def deploy(params: Params) -> None:
    content(name="Write the file", dest=params.path, content=params.text, mode="0600")
"""
HANDLED_TASKS = """\
---
- name: Write the file
  ansible.builtin.copy:
    dest: "{{ %(id)s_path }}"
    content: "{{ %(id)s_text }}"
    mode: "0600"
  notify: tell
"""
HANDLED_DEPLOY = """\
from pyinfra.operations import server

from medsec.inventory import Params
from medsec.operations.contents import content


def deploy(params: Params) -> None:
    written = content(name="Write the file", dest=params.path, content=params.text, mode="0600")
    server.shell(name="Tell", commands=[f"echo told >> {params.path}.told"], _if=written.did_change)
"""
HANDLER = """\
---
- name: Tell
  listen: tell
  ansible.builtin.lineinfile:
    path: "{{ test_folder }}/handled.told"
    line: told
    create: true
    mode: "0600"
"""
BROKEN_TASKS = """\
---
- name: Stumble
  ansible.builtin.command: "false"
  changed_when: false
  check_mode: false
"""
BROKEN_DEPLOY = """\
from pyinfra.operations import server

from medsec.inventory import Params


def deploy(params: Params) -> None:
    server.shell(name="Stumble", commands=["echo the reason is this >&2; false"])
"""


def make_control(
    roles: Path, name: str, *, tasks: str = TASKS, deploy: str = DEPLOY, path: str, **more: Any
) -> Control:
    """Write a complete control `name` below `roles/probe` and return it."""
    home = roles / "probe/controls" / name
    home.mkdir(parents=True)
    facts: dict[str, Any] = {
        "id": name,
        "item": "NW-10",
        "title": {"zh": f"测试控制项 {name}", "en": f"Test control {name}"},
        "why": BOTH,
        "impact": BOTH,
        "severity": "low",
        "applies_to": {"kinds": ["server"], "families": ["debian"]},
        "parameters": {
            "path": {"type": "str", "doc": BOTH, "default": path},
            "text": {"type": "str", "doc": BOTH, "default": "as wanted\n"},
        },
        "risk": "none",
        "proof": "container",
        **more,
    }
    (home / "control.yml").write_text(yaml.safe_dump(facts, allow_unicode=True), encoding="utf-8")
    (home / "tasks.yml").write_text(tasks % {"id": name} if "%(" in tasks else tasks, encoding="utf-8")
    (home / "deploy.py").write_text(deploy, encoding="utf-8")
    (home / "check.py").write_text("def check(host, params): ...\n", encoding="utf-8")
    for number in (1, 2):
        (home / f"violate_{number}.sh").write_text("#!/bin/sh\n# expect: x\n", encoding="utf-8")
    (home / "comply_1.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    return load_control(home / "control.yml")


def make_handlers(roles: Path) -> None:
    """Write the handler that `HANDLED_TASKS` notifies."""
    (roles / "probe/handlers").mkdir(parents=True, exist_ok=True)
    (roles / "probe/handlers/main.yml").write_text(HANDLER, encoding="utf-8")


def make_site(folder: Path, hosts: Mapping[str, Mapping[str, Any]], **variables: Any) -> Path:
    """Write an inventory with `hosts` (name to connection variables), all registered as servers."""
    entry = {
        "kind": "server",
        "os_family": "debian",
        "address": "127.0.0.1",
        "department": BOTH,
        "owner": "x",
        "location": BOTH,
        "purpose": BOTH,
    }
    ledger = {
        "institution": BOTH,
        "address_sets": {"management": ["127.0.0.1/32"]},
        "time_sources": ["127.0.0.1"],
        "hosts": dict.fromkeys(hosts, entry),
    }
    (folder / "group_vars/all").mkdir(parents=True)
    (folder / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts, "vars": variables}}), encoding="utf-8")
    (folder / "group_vars/all/ledger.yml").write_text(json.dumps({"ledger": ledger}), encoding="utf-8")
    return folder


def catalogue(*controls: Control) -> Controls:
    return Controls({control.id: control for control in controls})
