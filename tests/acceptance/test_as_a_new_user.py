"""What a new user does: installs the wheel, and runs the demo."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from medsec.lab import Lab

ROOT = Path(__file__).parents[2]
SITE = ROOT / "demo-site"
# An index of its own, so that an operator's clinic on this machine is left alone.
INDEX = 20


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked as an installation does it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "-q", "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("medsec-*.whl")
    site = folder / "site"
    zipfile.ZipFile(wheel).extractall(site)
    return site


def run(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from medsec_cli.main import main; sys.argv[0] = 'medsec'; main()"
    environment = {**os.environ, "PYTHONPATH": str(site), "MEDSEC_LANG": "en"}
    command = [sys.executable, "-P", "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_holds_everything(installed: Path, tmp_path: Path) -> None:
    shipped = installed / "medsec/shipped"
    for name in ("roles/ssh/controls/root_login_refused/check.py", "playbooks/harden.yml", "playbooks/harden.py"):
        assert (shipped / name).is_file(), name
    for name in ("verify/test_controls.py", "standards/items.yml", "inventory/hosts.yml", "lab/clinic.yml"):
        assert (shipped / name).is_file(), name
    said = run(installed, tmp_path, "controls")
    assert said.returncode == 0, said.stderr
    assert "root_login_refused" in said.stdout


def test_the_wheel_scaffolds_a_site(installed: Path, tmp_path: Path) -> None:
    assert run(installed, tmp_path, "init", "site").returncode == 0
    assert (tmp_path / "site/inventory/group_vars/all/ledger.yml").is_file()
    configuration = (tmp_path / "site/ansible.cfg").read_text(encoding="utf-8")
    assert f"{installed}/medsec/shipped/roles" in configuration


@pytest.fixture
def demo_lab() -> Iterator[dict[str, str]]:
    yield {
        **os.environ,
        "MEDSEC_LAB_INDEX": str(INDEX),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    Lab.reap(INDEX)


def test_the_demo_runs_from_end_to_end_and_leaves_nothing_to_change(demo_lab: dict[str, str]) -> None:
    """After it, every remedy is run once more on every host: by the engine that hardened them, then by the other one."""
    done = subprocess.run(
        [ROOT / "lab/demo.sh"],
        env={**demo_lab, "KEEP": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    assert "<html" in (SITE / "report.html").read_text(encoding="utf-8")
    for engine in ("pyinfra", "ansible"):
        again = medsec(demo_lab, "apply", "--all", "--yes", "--engine", engine)
        assert again.returncode == 0, (again.stdout + again.stderr)[-6000:]
        assert f"{engine}: 0 changes." in again.stdout, again.stdout[-6000:]
        assert "hosts judged in full 6/6" in again.stdout
    assert medsec(demo_lab, "lab", "down").returncode == 0
    assert not Path(f"/run/medsec/lab/clinic-{INDEX}").exists()


def medsec(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["medsec", "--lang", "en", *arguments],
        cwd=SITE,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
