"""Writes the rule where it is needed, then sees to what a rule does not reach: contradictions, the kernel, the initramfs."""

from __future__ import annotations

from medsec.inventory import Params
from medsec.operations import kernel_modules

RULE = "/etc/modprobe.d/00-medsec-usb-storage.conf"


def deploy(params: Params) -> None:
    modules: list[str] = params.modules
    every = [*modules, *params.other_paths]
    # A contradiction is one only as long as a module has a way in, so it is looked for before the rule is written.
    kernel_modules.contradictions_out_of_use(
        name="Put the lines that contradict the rule out of use", modules=modules, every=every
    )
    kernel_modules.rule(
        name="Write the rule",
        src="roles/usb/templates/refuse-usb-storage.conf.j2",
        dest=RULE,
        params=params,
        modules=modules,
    )
    kernel_modules.unloaded(name="Take the drivers out of the kernel", modules=modules)
    kernel_modules.initramfs_rebuilt(name="Build the initramfs anew", modules=modules)
