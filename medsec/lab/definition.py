"""The clinic's definition: hosts, zones, packages, read from one file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from medsec import resources
from medsec.lab.errors import LabError
from medsec.text import says

Kind = Literal["terminal", "server", "db", "backup", "gateway"]
Tier = Literal["container", "vm"]
Suite = Literal["bullseye", "bookworm", "trixie"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
# A bridge is called ms<index>-<zone> and the kernel allows 15 characters.
ZoneName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,9}$")]

CONSOLE_NUMBER = 1
GATEWAY_NUMBER = 254


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Zone(_Strict):
    """One network zone: its own bridge, its own /24."""

    number: Annotated[int, Field(ge=1, le=254)]
    zh: str
    en: str


class HostSpec(_Strict):
    """What a host is, apart from its name."""

    kind: Kind
    zones: Annotated[tuple[ZoneName, ...], Field(min_length=1)]
    number: Annotated[int, Field(ge=2, le=254)]
    suite: Suite = "bookworm"
    layer: Name | None = None
    tier: Tier = "container"
    memory: Annotated[int, Field(ge=128)] = 384
    autostart: bool = True

    @property
    def zone(self) -> str:
        """The zone whose address the host is reached at."""
        return self.zones[0]


class Packages(_Strict):
    """Package names for every suite, and those that only one suite knows by that name."""

    all: tuple[str, ...] = ()
    bullseye: tuple[str, ...] = ()
    bookworm: tuple[str, ...] = ()
    trixie: tuple[str, ...] = ()

    def of(self, suite: Suite) -> tuple[str, ...]:
        """Return the names that hold for `suite`, sorted, each once."""
        own: tuple[str, ...] = getattr(self, suite)
        return tuple(sorted({*self.all, *own}))


class Definition(_Strict):
    """The whole clinic as `lab/clinic.yml` describes it."""

    format: Literal[1] = Field(alias="schema")
    name: Name
    zones: Annotated[dict[ZoneName, Zone], Field(min_length=1)]
    hosts: Annotated[dict[Name, HostSpec], Field(min_length=1)]
    base: Packages
    layers: dict[Name, Packages] = {}
    repository: Packages
    vm: Packages = Packages()

    @model_validator(mode="after")
    def _consistent(self) -> Definition:
        numbers = [zone.number for zone in self.zones.values()]
        if len(set(numbers)) != len(numbers):
            raise ValueError(f"two zones have the same number: {sorted(numbers)}")
        taken: dict[tuple[str, int], str] = {}
        for name, host in self.hosts.items():
            self.check_host(name, host, taken)
        return self

    def check_host(self, name: str, host: HostSpec, taken: dict[tuple[str, int], str]) -> None:
        """Refuse a host whose zones, layer or numbers do not fit; `taken` maps (zone, number) to a host's name.

        Raises ValueError.
        """
        if host.layer is not None and host.layer not in self.layers:
            raise ValueError(f"{name}: unknown layer {host.layer!r}, known: {', '.join(self.layers)}")
        if host.number == GATEWAY_NUMBER and host.kind != "gateway":
            raise ValueError(f"{name}: number {GATEWAY_NUMBER} is the gateway's in every zone, use 2 to 253")
        for zone in host.zones:
            if zone not in self.zones:
                raise ValueError(f"{name}: unknown zone {zone!r}, known: {', '.join(self.zones)}")
            other = taken.setdefault((zone, host.number), name)
            if other != name:
                raise ValueError(f"{name}: number {host.number} in zone {zone} is taken by {other}")


def default_path() -> Path:
    """Return the definition that medsec ships."""
    return resources.root() / "lab" / "clinic.yml"


def load(path: Path | None = None) -> Definition:
    """Read and check a definition; without `path`, the one that medsec ships.

    Raises LabError naming the file, the place in it, the value met and what is accepted.
    """
    path = path or default_path()
    try:
        return Definition.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise LabError(
            says(
                en=f"cannot read the lab's definition {path}: {error.strerror}",
                zh=f"无法读取实验环境定义文件 {path}：{error.strerror}",
            )
        ) from error
    except yaml.YAMLError as error:
        raise LabError(
            says(en=f"{path} is not YAML: {error}", zh=f"{path} 不是有效的 YAML 文件：{error}")
        ) from error
    except ValidationError as error:
        raise LabError(_explain(path, error)) from error


def _explain(path: Path, error: ValidationError) -> str:
    faults = [
        f"{'.'.join(str(part) for part in fault['loc']) or 'definition'}: "
        f"{re.sub('^Value error, ', '', fault['msg'])}"
        + (f" (met: {fault['input']!r:.80})" if fault["loc"] else "")
        for fault in error.errors()
    ]
    listed = "; ".join(faults)
    return says(
        en=f"{path} is not a valid lab definition: {listed}", zh=f"{path} 不是有效的实验环境定义：{listed}"
    )
