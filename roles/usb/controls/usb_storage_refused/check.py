"""Asks modprobe, each initramfs and the running kernel whether a USB storage device would find its driver."""

from __future__ import annotations

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes import kernel_modules
from medsec.probes.kernel_modules import canonical, refuses
from medsec.text import says

# What a stick, a disk, a USB floppy or a USB optical drive asks the kernel for: mass-storage class 08, every subclass,
# and the protocols that Linux has drivers for (CBI 00 and 01, bulk-only 50, attached SCSI 62).
ALIASES = [
    f"usb:v0000p0000d0000dc00dsc00dp00ic08isc{subclass}ip{protocol}in00"
    for subclass in ("01", "02", "03", "04", "05", "06")
    for protocol in ("00", "01", "50", "62")
]


def check(host: Host, params: Params) -> None:
    state = kernel_modules.loading(host, params.modules, params.other_paths, ALIASES)
    others = {canonical(name) for name in params.other_paths}
    # A driver of another path counts where a device asks for it at this moment, or where it is already in use.
    in_use = others & (state.present | state.loaded)
    wanted = {canonical(name) for name in params.modules} | state.asked_by_devices | in_use

    for file, line in state.built_in:
        assert not any(canonical(line).endswith(f"/{name}.ko") for name in wanted), says(
            en=f"the driver is built into the kernel and cannot be refused: {line} ({file}); another kernel is needed",
            zh=f"驱动已编入内核，无法禁止加载：{line}（{file}），需更换内核",
        )
    open_ = [
        (place, answer) for place, answer in state.answers.items() if place[0] in wanted and not refuses(answer)
    ]
    assert not open_, says(
        en="; ".join(
            f"{module} can be loaded (kernel {kernel}): modprobe would do «{answer or 'nothing known'}»"
            for (module, kernel), answer in open_
        ),
        zh="；".join(
            f"{module} 仍可加载（内核 {kernel}）：modprobe 将执行“{answer or '无结果'}”"
            for (module, kernel), answer in open_
        ),
    )
    loaded = sorted(wanted & (state.loaded | state.drivers))
    assert not loaded, says(
        en=f"{', '.join(loaded)} is loaded now; unplug and unmount the medium, then unload it",
        zh=f"{'、'.join(loaded)} 当前已加载；请先卸载并拔出介质，再卸载模块",
    )
    assert not state.bypasses, says(
        en=f"a line loads the driver past its rule: {'; '.join(f'{file}: {line.strip()}' for file, line in state.bypasses)}",
        zh=f"存在绕过禁用规则加载驱动的配置：{'；'.join(f'{file}：{line.strip()}' for file, line in state.bypasses)}",
    )
    for image in state.images:
        at_boot = {name for name in image.drivers if name in wanted and not refuses(image.answers.get(name, ""))}
        assert not at_boot, says(
            en=f"{image.path} carries {', '.join(sorted(at_boot))} and would load it at boot: it lacks the rule",
            zh=f"{image.path} 含 {'、'.join(sorted(at_boot))}，且未包含禁用规则，开机时仍会加载",
        )
