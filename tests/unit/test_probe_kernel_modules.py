"""What the check of USB storage makes of what modprobe and an initramfs answered."""

from __future__ import annotations

import re
import subprocess

import pytest

from medsec.errors import ProbeError
from medsec.probes import kernel_modules
from medsec.resources import root

# Answers of kmod 30 with Debian's kernel 6.1.0-56, a rule for usb-storage only, and an initramfs that lacks it.
ANSWER = """--8<-- medsec resolved
uas
usb_storage
--8<-- medsec present
usbhid
rtsx_usb
--8<-- medsec answers
uas\t6.1.0-56-amd64\tinsmod /lib/modules/6.1.0-56-amd64/kernel/drivers/usb/storage/uas.ko
usb_storage\t6.1.0-56-amd64\tinstall /bin/false
ushc\t6.1.0-56-amd64\tmodprobe: FATAL: Module ushc not found in directory /lib/modules/6.1.0-56-amd64
--8<-- medsec loaded
usb_storage
scsi_mod
--8<-- medsec drivers
usb-storage
usbhid
--8<-- medsec builtin
/lib/modules/6.1.0-56-amd64/modules.builtin:kernel/drivers/usb/storage/usb-storage.ko
--8<-- medsec bypasses
/etc/udev/rules.d/60-vendor-disk.rules:ACTION=="add", RUN+="/sbin/modprobe --ignore-install usb-storage"
/etc/udev/rules.d/61-old.rules:# RUN+="/sbin/insmod usb-storage.ko"
--8<-- medsec images
image\t/boot/initrd.img-6.1.0-56-amd64
driver\tusb-storage.ko
driver\tuas.ko.xz
answer\tusb-storage\tinsmod /lib/modules/6.1.0-56-amd64/kernel/drivers/usb/storage/usb-storage.ko
answer\tuas\tinstall /bin/false
image\t/boot/initrd.img-6.1.0-57-amd64
--8<-- medsec end
"""


def test_each_kernel_and_module_has_an_answer() -> None:
    state = kernel_modules.parse(kernel_modules.sections(ANSWER))
    refused = {module for (module, _), answer in state.answers.items() if kernel_modules.refuses(answer)}
    assert refused == {"usb_storage"}
    assert state.asked_by_devices == {"uas", "usb_storage"}


def test_drivers_are_called_as_the_kernel_calls_them() -> None:
    state = kernel_modules.parse(kernel_modules.sections(ANSWER))
    assert "usb_storage" in state.drivers
    assert state.images[0].drivers == ("usb_storage", "uas")
    assert not kernel_modules.refuses(state.images[0].answers["usb_storage"])
    assert state.images[1].drivers == ()


@pytest.mark.parametrize(
    ("line", "around"),
    [
        ("/sbin/modprobe --ignore-install usb-storage", True),
        ("modprobe -qi usb_storage", True),
        ("modprobe --ignore-inst uas", True),
        ("modprobe -C /dev/null usb-storage", True),
        ("MODPROBE_OPTIONS=-i modprobe usb-storage", True),
        ("  insmod /lib/modules/x/usb-storage.ko", True),
        ("modprobe -v usb-storage", False),
        ("modprobe -r --ignore-remove usb-storage", False),
        ("# insmod usb-storage.ko", False),
        (": # put out of use: insmod usb-storage.ko", False),
    ],
)
def test_check_and_remedy_know_a_line_that_goes_around_the_rule(line: str, around: bool) -> None:
    script = kernel_modules.script(["usb-storage", "uas"], [], [])
    found = re.search(r"grep -rIHE '([^']*)'", script)
    assert found
    remedy = (root() / "roles/usb/files/refusal.sh").read_text(encoding="utf-8")
    functions = "".join(re.findall(r"(?ms)^(?:pattern|around)\(\) \{.*?^\}\n", remedy))
    other = subprocess.run(
        ["sh", "-c", f"{functions}around usb-storage uas"], capture_output=True, text=True, check=True
    )
    for pattern in (found[1], other.stdout):
        done = subprocess.run(["grep", "-qE", pattern], input=line, text=True, check=False)
        assert done.returncode == (0 if around else 1), pattern


def test_a_commented_line_goes_around_nothing() -> None:
    state = kernel_modules.parse(kernel_modules.sections(ANSWER))
    assert [file for file, _ in state.bypasses] == ["/etc/udev/rules.d/60-vendor-disk.rules"]


def test_silence_is_no_pass() -> None:
    silent = "\n".join(line for line in ANSWER.splitlines() if "6.1.0-56-amd64\t" not in line)
    with pytest.raises(ProbeError, match="modprobe answered nothing"):
        kernel_modules.parse(kernel_modules.sections(silent))


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        ("install /bin/false ", True),
        ("install /usr/bin/true", True),
        ("install /bin/false || /sbin/modprobe --ignore-install usb-storage", False),
        ("install /sbin/modprobe --ignore-install usb-storage", False),
        ("insmod /lib/modules/6.1.0/kernel/drivers/usb/storage/uas.ko", False),
        ("builtin usb_storage", False),
        ("", False),
    ],
)
def test_only_a_command_that_does_nothing_refuses(answer: str, refused: bool) -> None:
    assert kernel_modules.refuses(answer) is refused
