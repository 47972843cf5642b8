"""Whatever the umask of the operator and of his account on the host: the same modes on the host, and nothing open on either side."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from medsec.lab import Lab, LabHost
from tests.lab.faults import inventory

UMASKS = (0o000, 0o077)
CONTROLS = [
    "--control",
    "critical_files_protected",
    "--control",
    "root_login_refused",
    "--control",
    "logs_kept_six_months",
]


@pytest.fixture
def hosts(lab: Lab) -> Iterator[dict[int, LabHost]]:
    made = {umask: lab.add_host(f"u-{umask:03o}-{os.urandom(2).hex()}", kind="server") for umask in UMASKS}
    for umask, host in made.items():
        host.run_as_root("systemctl is-system-running --wait > /dev/null", timeout=120)
        host.run_as_root(f"sed -i '1i umask {umask:03o}' /home/admin/.bashrc").check_returncode()
        assert host.ssh("umask").stdout.strip() == f"0{umask:03o}"
    yield made
    for host in made.values():
        lab.remove_host(host.name)


def modes(host: LabHost, *folders: str) -> dict[str, str]:
    done = host.run_as_root(
        f"find {' '.join(folders)} -xdev -newer /root/.begun ! -type l -printf '%p\\t%m %U:%G\\n'"
    )
    done.check_returncode()
    return dict(line.split("\t") for line in done.stdout.splitlines())


@pytest.mark.parametrize("tool", ["ansible", "pyinfra"])
def test_modes_do_not_depend_on_the_umask(lab: Lab, hosts: dict[int, LabHost], tmp_path: Path, tool: str) -> None:
    found = {}
    for umask, host in hosts.items():
        host.run_as_root("touch /root/.begun; sleep 0.1").check_returncode()
        site = tmp_path / f"{umask:03o}"
        inventory(lab, host, site)
        done = subprocess.run(
            [Path(sys.executable).with_name("medsec"), "--lang", "en", "apply", "--yes", "-i", site, "--engine", tool, *CONTROLS],
            cwd=site, umask=umask, capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        open_ = {path: path.stat().st_mode for path in (site / "runs").rglob("*") if path.stat().st_mode & 0o077}
        assert open_ == {}
        found[umask] = modes(host, "/etc", "/usr/local", "/var/log", "/var/backups")
        guard = modes(host, "/var/lib/medsec")
        top = {path: what for path, what in guard.items() if path.count("/") <= 4}
        assert {what for path, what in top.items() if not path.endswith((".sh", "lock"))} <= {
            "700 0:0",
            "600 0:0",
        }, top
        assert guard["/var/lib/medsec"] == "700 0:0"
    assert any("sshd_config" in path for path in found[0o000]), "nothing was changed: this shows nothing"
    assert any("logrotate" in path or "journald" in path for path in found[0o000])
    both = {
        umask: {path: what for path, what in here.items() if "/log/" not in path} for umask, here in found.items()
    }
    assert both[0o000] == both[0o077]
    for path, what in both[0o000].items():
        assert not int(what.split()[0], 8) & 0o002, f"{path} {what}"
