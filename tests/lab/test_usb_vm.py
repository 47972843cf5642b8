"""A real kernel and real devices: a stick is a disk before the remedy and is none after it; a keyboard works throughout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from medsec.catalogue.controls import Controls, load_control
from medsec.engines.base import Work
from medsec.engines.registry import engine
from medsec.evidence.findings import Finding, Verdict
from medsec.inventory import Inventory
from medsec.judge.judge import judge
from medsec.lab import Lab, LabHost
from medsec.trials import staging
from medsec.trials.cases import Case

ROLES = Path(__file__).parents[2] / "roles"
CONTROL = load_control(ROLES / "usb/controls/usb_storage_refused/control.yml")
CONTROLS = Controls({CONTROL.id: CONTROL})
PATIENCE = 300  # seconds; an emulated machine is slow, and slower beside others


@pytest.fixture(scope="module")
def vm(lab: Lab) -> Iterator[LabHost]:
    """The clinic's virtual machine, booted once for this file."""
    [host] = lab.up(["kernel-1"])
    yield host
    host.backend.kill()


@pytest.fixture
def fresh(lab: Lab, vm: LabHost) -> LabHost:
    """The same machine as at the end of its first boot."""
    return lab.reset(vm.name)


@pytest.fixture
def inventory(lab: Lab, fresh: LabHost, tmp_path: Path) -> Inventory:
    case = Case(CONTROL, CONTROL.violations[0], "pyinfra")
    return staging.write_inventory(tmp_path, lab, {fresh.name: (case, fresh)})


def disks(host: LabHost) -> list[str]:
    """Return the disks that came by USB, once udev has nothing left to do."""
    seen = host.ssh(
        "sudo udevadm settle --timeout=60; sleep 3; lsblk --nodeps --noheadings --output NAME", timeout=PATIENCE
    )
    assert seen.returncode == 0, seen.stderr
    return [name for name in seen.stdout.split() if name.startswith("sd")]


def verdict(inventory: Inventory, host: LabHost) -> Finding:
    [finding] = judge(inventory, [inventory.hosts[host.name]], [CONTROL]).findings
    return finding


@pytest.mark.parametrize("name", ["ansible", "pyinfra"])
def test_the_remedy_turns_a_stick_away_and_no_keyboard(fresh: LabHost, inventory: Inventory, name: str) -> None:
    fresh.virtual.plug_usb_stick()
    assert disks(fresh) == ["sda"], "the positive control: without the remedy the stick is a disk"
    fresh.virtual.unplug()
    before = verdict(inventory, fresh)
    assert before.verdict is Verdict.FAIL, before.text

    result = engine(name).run(Work(inventory, CONTROLS, {fresh.name: [CONTROL.id]}, "apply"), lambda event: None)
    outcome = result.outcomes[fresh.name, CONTROL.id]
    assert outcome.finished and outcome.failed is None and outcome.changed > 0, outcome

    after = verdict(inventory, fresh)
    assert after.verdict is Verdict.PASS, after.text
    fresh.virtual.plug_usb_stick()
    assert disks(fresh) == []
    fresh.virtual.unplug()
    fresh.virtual.plug_usb_keyboard()
    seen = fresh.ssh("sleep 5; cat /proc/bus/input/devices", timeout=PATIENCE).stdout
    assert "QEMU QEMU USB Keyboard" in seen


def test_a_blacklist_is_no_refusal(fresh: LabHost, inventory: Inventory) -> None:
    """Whoever plugs a stick in is turned away by a blacklist, and whoever names the driver is not."""
    fresh.run_as_root(
        "printf 'blacklist usb-storage\\nblacklist uas\\n' > /etc/modprobe.d/usb.conf", timeout=PATIENCE
    ).check_returncode()
    fresh.virtual.plug_usb_stick()
    assert disks(fresh) == []
    assert verdict(inventory, fresh).verdict is Verdict.FAIL
    fresh.run_as_root("modprobe usb-storage", timeout=PATIENCE).check_returncode()
    assert disks(fresh) == ["sda"]
    fresh.virtual.unplug()
