"""Nothing is left: after `down`, after a kill, and when the notes are gone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medsec.lab import Lab, LabError, machine, network

# One after the other: what one of them reaps, another one may have left.
pytestmark = pytest.mark.xdist_group("reaping")


def traces(index: int) -> list[str]:
    """Return whatever a lab has on this machine, asked of the kernel and not of the lab."""
    found = [name for name in network.interfaces() if re.match(rf"ms{index}[-.]", name)]
    for family in ("-4", "-6"):
        rules = subprocess.run(["ip", family, "rule"], capture_output=True, text=True, check=True).stdout
        found += re.findall(rf"iif ms{index}-\S+", rules)
    for folder in (*machine.cgroup_folders(), machine.NOTES, machine.DISKS):
        top = folder / machine.CGROUP if folder in machine.cgroup_folders() else folder
        found += [str(entry) for entry in top.glob(f"*-{index}") if entry.is_dir()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if re.search(rf"/medsec/lab/\S+-{index}/", (process / "mounts").read_text()):
                found.append(f"mount seen by {process.name}")
            if re.search(rf"{machine.CGROUP}/\S+-{index}/", (process / "cgroup").read_text()):
                found.append(f"process {process.name}")
        except OSError:  # it ended meanwhile
            continue
    return found


def _launchers(lab: str) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(word.endswith("/launch.sh") for word in words) and any(f"/{lab}/" in word for word in words):
            found.append(int(process.name))
    return found


def _init(name: str, lab: str) -> int:
    procs = machine.cgroup_folders()[0] / machine.CGROUP / lab / name / "payload/init.scope/cgroup.procs"
    return min(int(number) for number in procs.read_text().split())


def _gone(process: int) -> bool:
    return machine.process_born(process) is None


def test_down_leaves_nothing(spare_index: int) -> None:
    lab = Lab("t", spare_index)
    lab.up(["gateway", "terminal-1"])
    assert traces(spare_index), "the search for traces sees nothing even where there is a lab"
    lab.down()
    assert traces(spare_index) == []
    lab.down()


@pytest.mark.parametrize("seconds", [0.3, 1.0])
def test_a_lab_whose_starter_was_killed_is_taken_away(spare_index: int, seconds: float) -> None:
    Lab("t", spare_index).up(["his-app"])  # the images are there
    Lab.reap(spare_index)
    program = f"import os; from medsec.lab import Lab; Lab('t', {spare_index}, owner=os.getpid()).up(['gateway', 'his-app'])"
    starter = subprocess.Popen([sys.executable, "-c", program], cwd=Path(machine.__file__).parents[2])
    end = time.monotonic() + 30
    while not _launchers(f"t-{spare_index}"):
        assert time.monotonic() < end
        time.sleep(0.02)
    time.sleep(seconds)
    starter.kill()
    starter.wait()
    assert traces(spare_index)
    Lab.reap()
    assert traces(spare_index) == []


def test_a_host_whose_launcher_was_killed_is_taken_away_alone(spare_index: int) -> None:
    lab = Lab("t", spare_index)
    lab.up(["his-app", "terminal-1"])
    init = _init("his-app", f"t-{spare_index}")
    for launcher in _launchers(f"t-{spare_index}"):
        words = Path(f"/proc/{launcher}/cmdline").read_bytes().decode().split("\0")
        if "his-app" in words:
            os.kill(launcher, signal.SIGKILL)
    time.sleep(0.3)
    states = {host.name: host.state for host in lab.status()}
    assert states["his-app"] == "orphaned"
    assert not _gone(init), (
        "the host went with its launcher: then there is nothing to reap and this test proves nothing"
    )
    found = Lab.reap()
    assert f"t-{spare_index}/his-app" in found
    assert f"t-{spare_index}/terminal-1" not in found
    assert _gone(init)
    assert lab.host("terminal-1").ssh("true").returncode == 0
    lab.up(["his-app"])
    assert lab.host("his-app").ssh("true").returncode == 0


def test_up_replaces_an_orphan_without_reaping(spare_index: int) -> None:
    lab = Lab("t", spare_index)
    lab.up(["his-app"])
    init = _init("his-app", f"t-{spare_index}")
    for launcher in _launchers(f"t-{spare_index}"):
        os.kill(launcher, signal.SIGKILL)
    lab.up(["his-app"])
    assert _gone(init)
    assert lab.host("his-app").ssh("true").returncode == 0


def test_a_lab_whose_notes_are_gone_is_taken_away(spare_index: int) -> None:
    lab = Lab("t", spare_index)
    lab.up(["his-app"])
    for folder in (machine.NOTES, machine.DISKS):
        subprocess.run(["rm", "-rf", folder / f"t-{spare_index}"], check=True)
    assert traces(spare_index)
    Lab.reap()
    assert traces(spare_index) == []


def test_a_lab_that_lives_is_left_alone(spare_index: int) -> None:
    lab = Lab("t", spare_index, owner=os.getpid())
    lab.up(["his-app"])
    assert not [name for name in Lab.reap() if f"-{spare_index}" in name]
    assert lab.host("his-app").ssh("true").returncode == 0


def test_an_index_that_another_lab_uses_is_refused(spare_index: int) -> None:
    Lab("t", spare_index).up(["his-app"])
    with pytest.raises(LabError, match=rf"index {spare_index} is in use by the lab t-{spare_index}"):
        Lab("u", spare_index).up(["his-app"])
    with pytest.raises(LabError, match="is in use"):
        Lab("u", spare_index).down()
    assert Lab("t", spare_index).host("his-app").ssh("true").returncode == 0
