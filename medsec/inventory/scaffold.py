"""A site's own folder, made from the example clinic."""

from __future__ import annotations

import shutil
from pathlib import Path

from medsec.errors import UsageError
from medsec.resources import root
from medsec.text import says

# Tuned for slow lines: one connection a host that is kept open, and no file copied before a module runs.
ANSIBLE_CFG = """\
# For plain ansible-playbook; `medsec apply` brings settings of its own.
[defaults]
inventory = inventory/hosts.yml
roles_path = {roles}
forks = 20
gathering = explicit
host_key_checking = true
stdout_callback = ansible.builtin.default
callback_result_format = yaml

[ssh_connection]
pipelining = true
ssh_args = -o ControlMaster=auto -o ControlPersist=300s -o ControlPath=~/.ssh/medsec-%C -o ServerAliveInterval=15
"""


def scaffold(folder: Path) -> list[Path]:
    """Make a site's folder and return the files in it, in the order in which they are to be edited.

    Raises UsageError when `folder` already holds an inventory: a site's data is never written over.
    """
    inventory = folder / "inventory"
    if inventory.exists():
        raise UsageError(
            says(
                en=f"{inventory} exists and is left as it is; name another folder, or edit what is there",
                zh=f"{inventory} 已存在，未作改动；请另选目录，或直接编辑现有文件",
            )
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(root() / "inventory", inventory, ignore=shutil.ignore_patterns("__pycache__"))
        configuration = folder / "ansible.cfg"
        configuration.write_text(ANSIBLE_CFG.format(roles=root() / "roles"), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            says(en=f"{folder} cannot be written: {error.strerror}", zh=f"无法写入 {folder}：{error.strerror}")
        ) from error
    wanted = [inventory / "hosts.yml", inventory / "group_vars/all/ledger.yml"]
    rest = sorted(path for path in inventory.rglob("*") if path.is_file() and path not in wanted)
    return [*wanted, *rest, configuration]
