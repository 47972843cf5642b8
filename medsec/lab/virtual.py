"""Hosts of the VM tier: Debian's own kernel in software emulation, booted once and brought back by snapshot in a second."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from medsec.lab import machine, seed
from medsec.lab.backend import State, await_banner
from medsec.lab.cgroups import Group
from medsec.lab.definition import HostSpec
from medsec.lab.errors import LabError
from medsec.lab.place import Place
from medsec.lab.qmp import Monitor, monitor
from medsec.text import says

_LAUNCHER = Path(__file__).resolve().parent / "launch_vm.sh"
_BOOT_SECONDS = 1800  # 40 s of one idle processor; many times that on a machine that is busy
_READY = "ready"
_STICK_BYTES = 16 << 20


@dataclass(frozen=True)
class VirtualMachine:
    """One virtual machine of a lab."""

    place: Place
    name: str
    spec: HostSpec

    @property
    def group(self) -> Group:
        """The control groups of its processes."""
        return Group(self.place.id, self.name)

    @property
    def _folder(self) -> Path:
        return self.place.disk(self.name)

    def prepare(self) -> None:
        """Build the images that are missing."""
        self.place.images.machine(self.spec.suite)
        self.place.images.repository_disk(self.spec.suite)

    def state(self) -> State:
        """Return `running` or `stopped`; a machine whose launcher was killed is `orphaned`."""
        if not self.group.populated():
            return "stopped"
        return "running" if self.group.kept() else "orphaned"

    def made(self) -> bool:
        """Tell whether the machine has a disk."""
        return (self._folder / "disk.qcow2").is_file()

    def make(self, names: Mapping[str, Sequence[str]], keys: seed.Keys) -> None:
        """Give the machine a new disk with its name, addresses and keys."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        disk = self._folder / "root.img"
        machine.run(["cp", "--reflink=auto", "--sparse=always", self.place.images.machine(self.spec.suite), disk])
        self._sow(disk, list(seed.files(self.name, self.spec, self.place.network, names, keys)))
        machine.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", disk, self._folder / "disk.qcow2"]
        )

    def _sow(self, disk: Path, seeds: list[seed.SeedFile]) -> None:
        """Write `seeds` into the file system image `disk`, which needs no mount and so leaves none."""
        script = []
        for number, file in enumerate(seeds):
            source = self._folder / f"seed-{number}"
            source.write_text(file.content, encoding="utf-8")
            script += [f"rm /{file.path}", f"write {source} /{file.path}"]
            script += [
                f"sif /{file.path} {field} {value}"
                for field, value in (
                    ("mode", f"0{0o100000 | file.mode:o}"),
                    ("uid", file.owner),
                    ("gid", file.owner),
                )
            ]
        done = machine.run(["debugfs", "-w", "-f", "-", disk], text="\n".join(script) + "\n")
        for number, _ in enumerate(seeds):
            (self._folder / f"seed-{number}").unlink()
        # debugfs succeeds whatever happens; a file that was not there before is the one thing it may complain about.
        faults = [
            line
            for line in done.stderr.splitlines()[1:]
            if line.strip() and not line.startswith(("rm:", "debugfs:"))
        ]
        if faults:
            raise LabError(
                says(
                    en=f"{self.name}: cannot write into {disk}: {'; '.join(faults)}",
                    zh=f"{self.name}：无法写入 {disk}：{'；'.join(faults)}",
                )
            )

    def start(self) -> None:
        """Boot from the disk that is there; return when the machine is ready."""
        self.kill()
        self.group.make()
        link = self.place.network.links(self.spec)[0]
        with self.place.console(self.name).open("wb") as console:
            subprocess.run(
                self.group.inside(
                    [
                        "setsid",
                        "--fork",
                        _LAUNCHER,
                        self._folder,
                        self.place.images.repository_disk(self.spec.suite),
                        str(self.spec.memory),
                        f"{link.outer},{link.mac},{link.bridge}",
                    ]
                ),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env=machine.environment(),
                check=True,
            )
        self.await_ready()

    def await_ready(self) -> None:
        """Wait until the machine has finished booting, and keep what its first boot came to."""
        await_banner(self.place, self.name, self.spec, _BOOT_SECONDS)
        self.run_as_root("systemctl is-system-running --wait || true\n", timeout=_BOOT_SECONDS)
        if _READY not in self.saved():
            self.save(_READY)

    def stop(self) -> None:
        """Press the power button, and pull the plug after half a minute."""
        if self.state() == "running":
            with self._monitor() as talk:
                talk.do("system_powerdown")
            end = time.monotonic() + 60
            while self.group.populated() and time.monotonic() < end:
                time.sleep(0.1)
        self.kill()

    def kill(self) -> None:
        """Stop the machine at once."""
        self.group.kill()
        for link in self.place.network.links(self.spec):
            if Path("/sys/class/net", link.outer).exists():
                machine.run(["ip", "link", "delete", link.outer])

    def reset(self, names: Mapping[str, Sequence[str]], keys: seed.Keys) -> None:
        """Bring the machine back to the end of its first boot, or make it where it does not run."""
        if self.state() == "running" and _READY in self.saved():
            self.restore(_READY)
        else:
            self.kill()
            self.make(names, keys)
            self.start()

    def save(self, label: str) -> None:
        """Keep the whole machine, memory included, as `label`."""
        with self._monitor() as talk:
            talk.quietly(f"savevm {label}")

    def saved(self) -> list[str]:
        """Return the labels of the snapshots on the machine's disk."""
        if not self.made():
            return []
        if self.state() == "running":
            with self._monitor() as talk:
                return re.findall(r"^--\s+(\S+)", talk.hmp("info snapshots"), re.MULTILINE)
        listed = machine.run(["qemu-img", "snapshot", "-l", self._folder / "disk.qcow2"]).stdout
        return re.findall(r"^\d+\s+(\S+)", listed, re.MULTILINE)

    def restore(self, label: str) -> None:
        """Bring the machine back to what was kept as `label`; its clock is set to the present."""
        if self.state() != "running":
            self.start()
        with self._monitor() as talk:
            self._unplug_all(talk)
            talk.quietly(f"loadvm {label}")
        await_banner(self.place, self.name, self.spec, _BOOT_SECONDS)
        self._set_clock()

    def _set_clock(self) -> None:
        """Tell the machine the time: brought back, it believes that none has passed, and would misjudge every age.

        The time is sent when the machine says that it listens, as logging in may take it half a minute.
        """
        command = 'echo listening; read -r now; date --set="@$now"'
        with subprocess.Popen(
            self._ssh(f"sudo -n /bin/sh -c '{command}'"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as talk:
            heard = talk.stdout.readline() if talk.stdout else ""
            _, complaint = talk.communicate(f"{time.time():.3f}\n", timeout=_BOOT_SECONDS)
        if not heard or talk.returncode:
            raise LabError(
                says(
                    en=f"{self.name}: its clock could not be set after it was brought back: {complaint.strip()}",
                    zh=f"{self.name}：恢复快照后无法设置时钟：{complaint.strip()}",
                )
            )

    def _ssh(self, command: str) -> list[str]:
        return ["ssh", "-F", str(self.place.ssh_config), "-o", "BatchMode=yes", self.name, command]

    def run_as_root(self, script: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a shell script as root through SSH and sudo; `timeout` in seconds."""
        try:
            return subprocess.run(
                self._ssh("sudo -n /bin/sh -s"),
                input=script,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(
                says(
                    en=f"{self.name}: a script run as root did not end within {timeout:.0f} s: {script[:200]!r}",
                    zh=f"{self.name}：以 root 运行的脚本在 {timeout:.0f} 秒内未结束：{script[:200]!r}",
                )
            ) from error

    # -- devices -------------------------------------------------------------------------------------------------------

    def plug_usb_stick(self, name: str = "stick", serial: str | None = None) -> None:
        """Plug a USB stick into the running machine; `name` tells it from others, `serial` is what it calls itself."""
        image = self._folder / f"usb-{name}.img"
        with image.open("wb") as handle:
            handle.truncate(_STICK_BYTES)
        with self._monitor() as talk:
            talk.do("blockdev-add", **{"node-name": f"usb-{name}", "driver": "file", "filename": str(image)})
            extra = {"serial": serial} if serial else {}
            talk.do(
                "device_add", driver="usb-storage", id=f"usb-{name}", bus="xhci.0", drive=f"usb-{name}", **extra
            )

    def plug_usb_keyboard(self, name: str = "keyboard") -> None:
        """Plug a USB keyboard into the running machine: what must go on working where storage is refused."""
        with self._monitor() as talk:
            talk.do("device_add", driver="usb-kbd", id=f"usb-{name}", bus="xhci.0")

    def unplug(self, name: str = "stick") -> None:
        """Pull out what was plugged in as `name`."""
        with self._monitor() as talk:
            self._unplug(talk, f"usb-{name}")

    def _unplug_all(self, talk: Monitor) -> None:
        for device in talk.do("qom-list", path="/machine/peripheral"):
            if device["name"].startswith("usb-"):
                self._unplug(talk, device["name"])

    def _unplug(self, talk: Monitor, device: str) -> None:
        talk.do("device_del", id=device)
        talk.wait_for("DEVICE_DELETED")
        if device in {node["node-name"] for node in talk.do("query-named-block-nodes")}:
            talk.do("blockdev-del", **{"node-name": device})
        (self._folder / f"{device}.img").unlink(missing_ok=True)

    def _monitor(self) -> AbstractContextManager[Monitor]:
        return monitor(self.name, self._folder / "qmp")
