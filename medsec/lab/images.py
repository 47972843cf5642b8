"""Base systems, layers and package repositories: built once, named by what they are made of, shared by all labs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

from medsec.lab import machine
from medsec.lab.definition import Definition, HostSpec, Suite
from medsec.lab.errors import LabError, LabUnavailable
from medsec.text import Text, says

_RECIPES = Path(__file__).resolve().parent / "recipes"
_HALF = ".building"

# Is told, in a sentence, what takes long.
Tell = Callable[[Text], None]


def say_nothing(_: Text) -> None:
    """Be told, and keep it."""


@dataclass(frozen=True)
class _Plan:
    """What an image is made of: the recipe (its own script first), the packages, the base that it lies over."""

    label: str
    suite: Suite
    recipe: tuple[str, ...]
    packages: tuple[str, ...]
    base: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """The image's name in the cache, which ends with the digest of all that."""
        scripts = [(_RECIPES / name).read_text(encoding="utf-8") for name in self.recipe]
        made_of = [self.suite, scripts, list(self.packages), ":".join(folder.parent.name for folder in self.base)]
        return f"{self.label}-{hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]}"

    @property
    def first_argument(self) -> str:
        """What a recipe starts from: folders, the uppermost first, or else a release."""
        return ":".join(str(folder) for folder in self.base) or self.suite


@dataclass(frozen=True)
class Images:
    """The images of one definition; asking for one builds it where the cache lacks it."""

    definition: Definition
    tell: Tell = say_nothing

    def base(self, suite: Suite) -> Path:
        """Return the root file system of a plain `suite`. Raises LabError where it cannot be built."""
        packages = self.definition.base.of(suite)
        return self._built(_Plan(f"base-{suite}", suite, ("base.sh",), packages)) / "rootfs"

    def layer(self, name: str, suite: Suite) -> Path:
        """Return the layer `name` over the base of `suite`. Raises LabError where it cannot be built."""
        packages = self.definition.layers[name].of(suite)
        recipe = ("layer.sh", "overlay.sh")
        return self._built(_Plan(f"layer-{name}-{suite}", suite, recipe, packages, (self.base(suite),))) / "rootfs"

    def repository(self, suite: Suite) -> Path:
        """Return the folder with `debs` (a package repository) and `lists` (a layer with its index)."""
        packages = self.definition.repository.of(suite)
        recipe = ("repository.sh", "overlay.sh")
        return self._built(_Plan(f"repository-{suite}", suite, recipe, packages, (self.base(suite),)))

    def lower(self, host: HostSpec) -> tuple[Path, ...]:
        """Return the read-only folders of a container host, the uppermost first."""
        layer = (self.layer(host.layer, host.suite),) if host.layer else ()
        return (*layer, self.repository(host.suite) / "lists", self.base(host.suite))

    def machine(self, suite: Suite) -> Path:
        """Return the disk image of a plain virtual machine of `suite`."""
        packages = self.definition.vm.of(suite)
        lower = (self.repository(suite) / "lists", self.base(suite))
        return self._built(_Plan(f"vm-{suite}", suite, ("vm.sh", "overlay.sh"), packages, lower)) / "root.img"

    def repository_disk(self, suite: Suite) -> Path:
        """Return the package repository of `suite` as a disk for virtual machines."""
        folder = self.repository(suite) / "debs"
        return self._built(_Plan(f"disk-{suite}", suite, ("disk.sh",), (), (folder,))) / "disk.img"

    def _built(self, plan: _Plan) -> Path:
        image = machine.image_cache() / plan.name
        if image.is_dir():
            return image
        with machine.locked(_lock(image)) as lock:
            if not image.is_dir():
                self._build(image, plan, lock)
        return image

    def _build(self, image: Path, plan: _Plan, lock: IO[str] | None) -> None:
        half = image.with_name(f".{image.name}{_HALF}")
        shutil.rmtree(half, ignore_errors=True)  # of a build that was killed: we hold the lock
        half.mkdir(parents=True)
        self.tell(
            says(
                en=f"building the image {image.name} (once; up to a minute or two)",
                zh=f"正在构建镜像 {image.name}（仅需一次，约一至两分钟）",
            )
        )
        try:
            machine.run(
                [_RECIPES / plan.recipe[0], plan.first_argument, half, *plan.packages],
                text=self._sources.replace("SUITE", plan.suite),
                holding=lock,
            )
            (half / "packages.json").write_text(json.dumps(list(plan.packages)), encoding="utf-8")
            machine.run(["sync", "--file-system", half])
            half.rename(image)
        except LabError as error:
            raise LabError(
                says(
                    en=f"cannot build the image {image.name}: {error}",
                    zh=f"无法构建镜像 {image.name}：{error.in_language('zh')}",
                )
            ) from error
        finally:
            shutil.rmtree(half, ignore_errors=True)

    @cached_property
    def _sources(self) -> str:
        return apt_sources()


def remove_halves() -> list[str]:
    """Remove what killed builds left in the cache, and return the names; a build that is under way is left alone."""
    removed = []
    for half in sorted(machine.image_cache().glob(f".*{_HALF}")):
        image = half.with_name(half.name.removeprefix(".").removesuffix(_HALF))
        with machine.locked(_lock(image), wait=False) as lock:
            if lock is not None and half.is_dir():
                shutil.rmtree(half, ignore_errors=True)
                removed.append(half.name)
    return removed


def _lock(image: Path) -> Path:
    return image.with_name(f".{image.name}.lock")


def apt_sources() -> str:
    """Return this machine's own Debian package sources, with SUITE in the place of its release's name.

    Raises LabUnavailable where the machine has none.
    """
    wanted = "$(RELEASE) $(REPO_URI) $(COMPONENT)"
    listed = machine.run(["apt-get", "indextargets", "--format", wanted, "Created-By: Packages"]).stdout
    own = _codename()
    lines = []
    for line in dict.fromkeys(listed.splitlines()):
        release, uri, component = line.split(" ", 2)
        if component == "main" and release in (own, f"{own}-updates", f"{own}-security"):
            lines.append(f"deb {uri} {release.replace(own, 'SUITE', 1)} main\n")
    if not any(" SUITE main" in line for line in lines):
        raise LabUnavailable(
            says(
                en=f"apt has no source of Debian {own} main, from which the hosts' images are built; "
                "add one to /etc/apt/sources.list and run apt-get update, or use the Vagrantfile: vagrant up",
                zh=f"apt 未配置 Debian {own} main 软件源，无法构建主机镜像；请在 /etc/apt/sources.list 中添加并执行 "
                "apt-get update，或改用 Vagrantfile：vagrant up",
            )
        )
    return "".join(lines)


def _codename() -> str:
    facts = {}
    release = Path("/etc/os-release")
    for line in release.read_text(encoding="utf-8").splitlines() if release.is_file() else ():
        key, _, value = line.partition("=")
        facts[key] = value.strip('"')
    if facts.get("ID") != "debian" or not facts.get("VERSION_CODENAME"):
        raise LabUnavailable(
            says(
                en=f"images are built from the package sources of a Debian machine; this one is "
                f"{facts.get('PRETTY_NAME', os.uname().sysname)}; use the Vagrantfile instead: vagrant up",
                zh=f"镜像需在 Debian 系统上使用其软件源构建，当前系统为 "
                f"{facts.get('PRETTY_NAME', os.uname().sysname)}；请改用 Vagrantfile：vagrant up",
            )
        )
    return facts["VERSION_CODENAME"]
