"""The virtual machine: a real kernel, brought back in a moment, with devices plugged in for real."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from medsec.lab import Lab, LabError, LabHost

# One worker for all that need a virtual machine: it boots once for them all, and goes with the worker's lab.
pytestmark = pytest.mark.xdist_group("vm")


@pytest.fixture(scope="module")
def vm(lab: Lab) -> Iterator[LabHost]:
    """The clinic's virtual machine, booted once; emulation is costly also while nothing is asked of it."""
    [host] = lab.up(["kernel-1"])
    yield host
    host.backend.kill()


@pytest.fixture
def fresh(lab: Lab, vm: LabHost) -> LabHost:
    """The same machine as at the end of its first boot."""
    return lab.reset(vm.name)


def _disks(vm: LabHost) -> list[str]:
    seen = vm.ssh(
        "sudo udevadm settle --timeout=20; sleep 2; lsblk --nodeps --noheadings --output NAME", timeout=180
    )
    return [name for name in seen.stdout.split() if name.startswith("sd")]


def test_it_has_a_kernel_of_its_own_and_the_same_way_in(fresh: LabHost) -> None:
    done = fresh.ssh(
        "id -un; sudo -n id -un; systemctl is-system-running; sudo lsinitramfs /boot/initrd.img-*", timeout=180
    )
    assert done.stdout.split("\n")[:3] == ["admin", "root", "running"], done.stdout[:500] + done.stderr
    assert "usb-storage.ko" in done.stdout
    assert fresh.ssh("sudo /sbin/sysctl -w kernel.kptr_restrict=2", timeout=180).returncode == 0
    with pytest.raises(LabError, match="is a virtual machine"):
        _ = fresh.upper


def test_reset_forgets_changes_and_knows_the_time(lab: Lab, fresh: LabHost) -> None:
    fresh.run_as_root("echo x > /etc/new; sysctl -w kernel.kptr_restrict=2; sync", timeout=180).check_returncode()
    lab.reset(fresh.name)
    assert fresh.ssh("test ! -e /etc/new && cat /proc/sys/kernel/kptr_restrict", timeout=180).stdout == "0\n"
    before = time.time()
    told = float(fresh.ssh("date +%s", timeout=180).stdout)
    assert before - 5 < told < time.time() + 5


def test_a_stick_is_seen_unless_its_driver_is_refused(lab: Lab, fresh: LabHost) -> None:
    fresh.virtual.plug_usb_stick(serial="CLINIC0001")
    assert _disks(fresh) == ["sda"]
    fresh.virtual.unplug()
    assert _disks(fresh) == []
    refuse = "printf 'install usb-storage /bin/false\\ninstall uas /bin/false\\n' > /etc/modprobe.d/x.conf; udevadm control --reload"
    # The driver lets go of the stick that was pulled when it comes to it.
    unload = "for i in $(seq 30); do modprobe -r uas usb-storage && exit 0; sleep 2; done; exit 1"
    fresh.run_as_root(f"{refuse}; {unload}", timeout=180).check_returncode()
    fresh.virtual.plug_usb_stick()
    assert _disks(fresh) == []
    lab.reset(fresh.name)  # with the stick still in
    fresh.virtual.plug_usb_stick()
    assert _disks(fresh) == ["sda"]
    fresh.virtual.unplug()


def test_reboot_keeps_changes_and_takes_the_hosts_own_initramfs(lab: Lab, fresh: LabHost) -> None:
    script = "/etc/initramfs-tools/scripts/init-top/mark"
    mark = f"echo x > /etc/new; printf '#!/bin/sh\\necho lab-mark > /dev/kmsg\\n' > {script}; chmod 755 {script}; update-initramfs -u"
    fresh.run_as_root(mark, timeout=1800).check_returncode()
    before = fresh.ssh("cat /proc/sys/kernel/random/boot_id", timeout=180).stdout
    fresh.ssh("sudo systemctl reboot", timeout=180)
    end = time.monotonic() + 1800
    while fresh.ssh("cat /proc/sys/kernel/random/boot_id", timeout=180).stdout in ("", before):
        assert time.monotonic() < end
        time.sleep(2)
    assert fresh.ssh("cat /etc/new; sudo dmesg | grep -o lab-mark", timeout=180).stdout == "x\nlab-mark\n"
    lab.reset(fresh.name)
    assert fresh.ssh("test ! -e /etc/new", timeout=180).returncode == 0
