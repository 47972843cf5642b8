"""The lab: a small clinic of real hosts, made in seconds and taken away without a trace."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from medsec.lab import access, cgroups, inventory, machine, reaper, timesource
from medsec.lab.definition import Definition, HostSpec, Kind, Suite, Tier, load
from medsec.lab.errors import LabError
from medsec.lab.host import LabHost
from medsec.lab.images import Tell, say_nothing
from medsec.lab.place import Place
from medsec.lab.seed import Keys
from medsec.text import says

_FIRST_AD_HOC_NUMBER = 100


@dataclass(frozen=True)
class HostStatus:
    """What one host of a lab is doing: `stopped`, `running` or `orphaned` (its launcher was killed)."""

    name: str
    kind: str
    zone: str
    address: str
    suite: str
    tier: str
    state: str


class Lab:
    """One lab on this machine; labs of different `index` (0 to 31) run side by side, each in its own networks."""

    def __init__(
        self,
        name: str = "clinic",
        index: int = 0,
        *,
        definition: Path | None = None,
        owner: int | None = None,
        tell: Tell = say_nothing,
    ) -> None:
        """Name a lab; nothing is started.

        `definition` is the file that describes the clinic (the one medsec ships if not given). `owner` is the number of a
        process: once it is gone, `Lab.reap()` takes the lab away. `tell` is given a sentence before what takes long (an image that
        is built). Raises LabError for a definition that is not valid.
        """
        self._place = Place(load(definition), name, index, tell)
        self._owner = owner
        _ = self._place.network  # refuses an index out of range

    @property
    def name(self) -> str:
        """The lab's name."""
        return self._place.name

    @property
    def index(self) -> int:
        """The lab's number, from which its addresses follow."""
        return self._place.index

    @property
    def definition(self) -> Definition:
        """The clinic that the lab is made after."""
        return self._place.definition

    @property
    def ssh_config_path(self) -> Path:
        """The ssh_config(5) that reaches every host by its name, with its exact host key."""
        return self._place.ssh_config

    @property
    def known_hosts_path(self) -> Path:
        """The host keys of all hosts."""
        return self._place.known_hosts

    @property
    def identity_path(self) -> Path:
        """The administrator's private key."""
        return self._place.identity

    # -- hosts ---------------------------------------------------------------------------------------------------------

    def hosts(self) -> dict[str, LabHost]:
        """Return all hosts of the lab, those that are not running included."""
        specs = self._read_hosts()
        return {name: LabHost(name, spec, self._place) for name, spec in specs.items()}

    def host(self, name: str) -> LabHost:
        """Return one host. Raises LabError for a name that the lab does not know."""
        hosts = self.hosts()
        if name not in hosts:
            raise LabError(
                says(
                    en=f"lab {self._place.id} has no host {name!r}; it has: {', '.join(hosts)}",
                    zh=f"实验环境 {self._place.id} 中没有主机 {name!r}；现有主机：{'、'.join(hosts)}",
                )
            )
        return hosts[name]

    def status(self) -> list[HostStatus]:
        """Return what each host is doing; reads only."""
        return [
            HostStatus(
                name=host.name,
                kind=host.kind,
                zone=host.zone,
                address=host.address,
                suite=host.spec.suite,
                tier=host.spec.tier,
                state=host.backend.state(),
            )
            for host in self.hosts().values()
        ]

    # -- starting and stopping -----------------------------------------------------------------------------------------

    def up(self, names: Iterable[str] | None = None) -> list[LabHost]:
        """Start hosts, all at once, and return them when each answers and has finished booting.

        Without `names`, all that start by themselves. A host that runs already is left as it is; any other is made anew
        (`start` keeps what a stopped host had changed). Raises LabError naming the hosts that did not come up, LabUnavailable where no lab can run.
        """
        wanted = self._wanted(names)
        machine.require(vm=any(host.spec.tier == "vm" for host in wanted))
        self._prepare(wanted)
        self._open()
        self._each(wanted, self._start)
        return wanted

    def down(self) -> None:
        """Take the lab away: hosts, networks, disks, keys. Nothing happens where there is none."""
        machine.require()
        with machine.locked(self._place.lock):
            self._refuse_strangers()
            reaper.clear(self.index)

    @classmethod
    def reap(cls, index: int | None = None) -> list[str]:
        """Take away what crashed labs left on this machine, and return its names; labs that live are left alone.

        With `index`, all of that lab, alive or not. Needs no notes: it looks at processes, networks and folders.
        """
        return reaper.reap(None if index is None else [index])

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def reset(self, name: str) -> LabHost:
        """Make a host anew, as it was when it first came up. Raises LabError where it does not come back."""
        host = self.host(name)
        self._prepare([host])
        self._open()
        with self._booting(name):
            host.backend.reset(*self._seeds(host))
        return host

    def stop(self, name: str) -> None:
        """Power a host off and keep what it changed; packets for it then go nowhere."""
        host = self.host(name)
        if host.backend.state() != "stopped":
            with self._booting(name):
                host.backend.stop()

    def start(self, name: str) -> LabHost:
        """Power a host on with what it had changed, or as new where it never ran."""
        host = self.host(name)
        self._prepare([host])
        self._open()
        with self._booting(name):
            if host.backend.state() != "running":
                if not host.backend.made():
                    host.backend.make(*self._seeds(host))
                host.backend.start()
        return host

    def snapshot(self, name: str, label: str) -> None:
        """Keep a copy of what a running host has on its disk, as `label`; one of the same label is replaced."""
        host = self.host(name)
        self._open()
        with self._booting(name):
            host.backend.save(_label(label))

    def restore(self, name: str, label: str) -> LabHost:
        """Boot a host from the copy kept as `label`. Raises LabError where there is none."""
        host = self.host(name)
        known = host.backend.saved()
        if label not in known:
            raise LabError(
                says(
                    en=f"{name} has no snapshot {label!r}; it has: {', '.join(known) or 'none'}",
                    zh=f"{name} 没有名为 {label!r} 的快照；现有快照：{'、'.join(known) or '无'}",
                )
            )
        with self._booting(name):
            host.backend.restore(label)
        return host

    def add_host(
        self,
        name: str,
        *,
        kind: Kind = "server",
        zone: str | Sequence[str] = "srv",
        number: int | None = None,
        layer: str | None = None,
        suite: Suite = "bookworm",
        tier: Tier = "container",
    ) -> LabHost:
        """Start a host that the definition does not have; `number` (2 to 253) is its place in the zone, or the next free.

        A host in several zones has a card in each, and is reached in the first.

        Raises LabError for a name or number that is taken, and for an unknown kind, zone, layer or suite.
        """
        machine.require(vm=tier == "vm")
        self._open()
        with machine.locked(self._place.lock):
            specs = self._read_hosts()
            if name in specs:
                raise LabError(
                    says(
                        en=f"lab {self._place.id} has a host {name!r} already; take another name",
                        zh=f"实验环境 {self._place.id} 中已有主机 {name!r}，请换一个名称",
                    )
                )
            fields = {
                "kind": kind,
                "zones": [zone] if isinstance(zone, str) else list(zone),
                "number": number,
                "layer": layer,
                "suite": suite,
                "tier": tier,
                "memory": 512,
            }
            specs[name] = self._checked(name, fields, specs)
            self._write(specs)
        host = self.host(name)
        self._prepare([host])
        with self._booting(name):
            self._start_unlocked(host)
        return host

    def remove_host(self, name: str) -> None:
        """Take away a host that `add_host` made, with its disk and snapshots."""
        host = self.host(name)
        with self._booting(name):
            host.backend.kill()
            shutil.rmtree(self._place.disk(name), ignore_errors=True)
            shutil.rmtree(self._place.snapshots(name), ignore_errors=True)
        with machine.locked(self._place.lock):
            specs = self._read_hosts()
            if name not in self.definition.hosts:
                specs.pop(name, None)
                self._write(specs)

    def write_inventory(self, folder: Path) -> Path:
        """Write an inventory that reaches this lab's hosts with Ansible, pyinfra and medsec; return its hosts.yml.

        It is the example clinic's, with this lab's addresses, key and host keys; hosts made by `add_host` are not in it.
        """
        self._open()
        return inventory.write(self._place, self.hosts(), folder)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _wanted(self, names: Iterable[str] | None) -> list[LabHost]:
        if names is None:
            return [host for host in self.hosts().values() if host.spec.autostart]
        return [self.host(name) for name in dict.fromkeys(names)]

    def _checked(self, name: str, fields: dict[str, Any], specs: dict[str, HostSpec]) -> HostSpec:
        taken = {(zone, spec.number): other for other, spec in specs.items() for zone in spec.zones}
        if fields["number"] is None:
            used = {number for zone, number in taken if zone in fields["zones"]}
            fields["number"] = next(
                (number for number in range(_FIRST_AD_HOC_NUMBER, 254) if number not in used), 0
            )
        try:
            spec = HostSpec.model_validate(fields)
            self.definition.check_host(name, spec, taken)
        except (ValidationError, ValueError) as error:
            raise LabError(
                says(en=f"cannot add the host {name!r}: {error}", zh=f"无法添加主机 {name!r}：{error}")
            ) from error
        return spec

    def _prepare(self, hosts: Sequence[LabHost]) -> None:
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            for done in [pool.submit(host.backend.prepare) for host in hosts]:
                done.result()

    def _open(self) -> None:
        """Make the networks, the keys and the list of hosts where they are missing."""
        machine.require()
        with machine.locked(self._place.lock):
            self._refuse_strangers()
            if not self._place.notes.is_dir():
                # Left from before this machine was restarted: the keys to these disks are lost.
                shutil.rmtree(self._place.disks, ignore_errors=True)
            machine.make_room()
            self._place.network.up()
            self._place.notes.mkdir(parents=True, exist_ok=True)
            timesource.up(self._place.id, self._place.network, self._place.notes / "timesource.log")
            self._write(self._read_hosts())

    def _refuse_strangers(self) -> None:
        strangers = [
            lab for lab in cgroups.labs_present() if lab.endswith(f"-{self.index}") and lab != self._place.id
        ]
        if strangers:
            raise LabError(
                says(
                    en=f"index {self.index} is in use by the lab {strangers[0]}; take another index or bring that one down",
                    zh=f"编号 {self.index} 已被实验环境 {strangers[0]} 占用；请换一个编号，或先停止该实验环境",
                )
            )

    def _each(self, hosts: list[LabHost], action: Any) -> None:
        with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
            futures = {host.name: pool.submit(action, host) for host in hosts}
        failures = {name: future.exception() for name, future in futures.items() if future.exception()}
        if failures:
            first = next(iter(failures.values()))
            if not isinstance(first, LabError):
                raise first  # type: ignore[misc]
            names = list(failures)
            raise LabError(
                says(
                    en=f"{len(names)} of {len(hosts)} hosts did not come up: {', '.join(names)}; {first}",
                    zh=f"{len(hosts)} 台主机中有 {len(names)} 台未能启动：{'、'.join(names)}；{first.in_language('zh')}",
                )
            ) from first

    def _start(self, host: LabHost) -> None:
        with self._booting(host.name):
            self._start_unlocked(host)

    def _start_unlocked(self, host: LabHost) -> None:
        if host.backend.state() == "running":
            host.backend.await_ready()
        else:
            host.backend.kill()
            host.backend.make(*self._seeds(host))
            host.backend.start()

    @contextmanager
    def _booting(self, name: str) -> Iterator[None]:
        """Hold a host alone, and the lab's networks together with the others that boot."""
        with machine.locked(self._place.lock, shared=True), machine.locked(self._place.notes / f"{name}.lock"):
            yield

    def _seeds(self, host: LabHost) -> tuple[dict[str, tuple[str, ...]], Keys]:
        names = {other.name: other.addresses for other in self.hosts().values()}
        return names, access.keys(self._place, host.name)

    def _read_hosts(self) -> dict[str, HostSpec]:
        notes = self._place.notes / "lab.json"
        if not notes.is_file():
            return dict(self.definition.hosts)
        written = json.loads(notes.read_text(encoding="utf-8"))
        return {name: HostSpec.model_validate(spec) for name, spec in written["hosts"].items()}

    def _write(self, specs: dict[str, HostSpec]) -> None:
        notes = self._place.notes / "lab.json"
        hosts = {name: spec.model_dump(mode="json") for name, spec in specs.items()}
        half = notes.with_suffix(".half")
        half.write_text(
            json.dumps({"owner": self._owner_entry(notes), "hosts": hosts}, indent=1), encoding="utf-8"
        )
        half.replace(notes)
        access.write(self._place, [LabHost(name, spec, self._place) for name, spec in specs.items()])

    def _owner_entry(self, notes: Path) -> list[int | None] | None:
        if self._owner is not None:
            return [self._owner, machine.process_born(self._owner)]
        kept: list[int | None] | None = (
            json.loads(notes.read_text(encoding="utf-8"))["owner"] if notes.is_file() else None
        )
        return kept


def _label(label: str) -> str:
    if not label or not all(letter.isalnum() or letter in "._-" for letter in label) or label.startswith("."):
        raise LabError(
            says(
                en=f"{label!r} is not a name for a snapshot: use letters, digits, dots and dashes",
                zh=f"{label!r} 不能用作快照名称：请使用字母、数字、点和短横线",
            )
        )
    return label
