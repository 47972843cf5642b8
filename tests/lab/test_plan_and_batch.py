"""By the command line, on real hosts: a plan approved in a file is applied just so or not at all; a bad batch stops a run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from medsec.lab import Lab, LabHost
from medsec.trials import overlay
from tests.lab import faults

# One worker: the hosts are started once.
pytestmark = pytest.mark.xdist_group("batch")

ENGINES = ["ansible", "pyinfra"]
CONTROL = "critical_files_protected"
OPENED = "chmod 644 /etc/shadow"
MODE = "stat -c %a /etc/shadow"


@pytest.fixture(scope="module")
def pair(lab: Lab) -> Iterator[list[LabHost]]:
    made = [lab.add_host(f"p-{number}", kind="server") for number in (1, 2)]
    yield made
    for host in made:
        lab.remove_host(host.name)


@pytest.fixture
def site(lab: Lab, pair: list[LabHost], tmp_path: Path) -> Path:
    """A site with both hosts, each with a file that everybody may read."""
    for host in pair:
        host.run_as_root(OPENED).check_returncode()
    faults.inventory(lab, pair, tmp_path / "site")
    return tmp_path / "site"


def medsec(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("medsec"), "--lang", "en", *arguments],
        cwd=site,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def modes(pair: list[LabHost]) -> list[str]:
    return [host.run_as_root(MODE).stdout.strip() for host in pair]


@pytest.mark.parametrize("tool", ENGINES)
def test_a_plan_is_applied_just_so_or_not_at_all(site: Path, pair: list[LabHost], tool: str) -> None:
    before = overlay.listing(pair[0].upper)
    made = medsec(site, "plan", "-i", ".", "-o", "plan.json", "--engine", tool, "--control", CONTROL)
    assert made.returncode == 0, made.stdout + made.stderr
    changed = overlay.changed(before, overlay.listing(pair[0].upper))
    assert [path for path in changed if path.startswith("/etc/")] == []
    steps = json.loads((site / "plan.json").read_text(encoding="utf-8"))["steps"]
    assert [sorted(step["hosts"]) for step in steps] == [["p-1", "p-2"]]

    pair[0].run_as_root("chmod 640 /etc/shadow").check_returncode()
    drifted = medsec(site, "apply", "plan.json", "-i", ".", "--yes")
    assert drifted.returncode == 2, drifted.stdout + drifted.stderr
    assert "not as they were when the plan was made; nothing was changed" in drifted.stderr
    assert f"- p-1: {CONTROL}" in drifted.stderr
    assert modes(pair) == ["640", "644"]

    pair[0].run_as_root(OPENED).check_returncode()
    done = medsec(site, "apply", "plan.json", "-i", ".", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{tool}: 2 changes." in done.stdout
    assert modes(pair) == ["640", "640"]


@pytest.mark.parametrize("tool", ENGINES)
def test_a_batch_that_does_not_pass_stops_the_run(site: Path, pair: list[LabHost], tool: str) -> None:
    first, second = pair
    # A file that nobody can change: the remedy must fail there.
    first.run_as_root(
        "mount --bind /etc/shadow /etc/shadow && mount -o remount,bind,ro /etc/shadow"
    ).check_returncode()
    try:
        stopped = medsec(site, "apply", "-i", ".", "--yes", "--batch", "1", "--engine", tool, "--control", CONTROL)
    finally:
        first.run_as_root("umount /etc/shadow").check_returncode()
    assert stopped.returncode == 3, stopped.stdout + stopped.stderr
    assert "Not begun: p-2" in stopped.stderr
    assert modes([first, second]) == ["644", "644"]

    done = medsec(site, "apply", "-i", ".", "--yes", "--batch", "50%", "--engine", tool, "--control", CONTROL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert modes([first, second]) == ["640", "640"]
