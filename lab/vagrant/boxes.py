#!/usr/bin/env python3
"""Build the Vagrant boxes of the clinic from the lab's own images, and hand them to Vagrant (`make box`)."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from medsec.errors import MedsecError
from medsec.lab import definition, machine
from medsec.lab.definition import HostSpec, Suite
from medsec.lab.errors import LabError
from medsec.lab.images import Images, apt_sources
from medsec.text import in_language, says

HERE = Path(__file__).resolve().parent
RELEASES: dict[Suite, int] = {"bullseye": 11, "bookworm": 12, "trixie": 13}
PROVIDERS = {"lxc": HERE / "lxc-box.sh", "libvirt": HERE / "libvirt-box.sh"}
KEY = Path("/usr/share/rubygems-integration/all/gems")


def folder() -> Path:
    """Return where boxes are kept: `boxes` beside the lab's images."""
    return machine.image_cache().parent / "boxes"


def vagrant_key() -> Path:
    """Return the public key that every Vagrant knows and replaces at the first start of a machine.

    Raises LabError where Vagrant is not installed.
    """
    found = sorted(KEY.glob("vagrant-[0-9]*/keys/vagrant.pub"))
    if not found:
        raise LabError(
            says(
                en=f"no key of Vagrant below {KEY}; install it: apt-get install vagrant vagrant-lxc",
                zh=f"在 {KEY} 下未找到 Vagrant 的公钥；请安装：apt-get install vagrant vagrant-lxc",
            )
        )
    return found[-1]


def box_name(host: HostSpec) -> str:
    """Return the name of a host's box, as the Vagrantfile says it."""
    layer = f"-{host.layer}" if host.layer else ""
    return f"medsec/debian{RELEASES[host.suite]}{layer}"


def build(images: Images, host: HostSpec, provider: str) -> Path:
    """Return the box file of `host` for `provider`, built where it is missing. Raises LabError where it cannot be."""
    recipe = PROVIDERS[provider]
    lower = images.lower(host)
    key = vagrant_key()
    made_of = [*(str(layer) for layer in lower), *images.definition.vm.of(host.suite), key.read_text("utf-8")]
    made_of += [script.read_text("utf-8") for script in (recipe, HERE / "box.sh")]
    digest = hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:16]
    box = folder() / f"{box_name(host).replace('/', '-')}-{provider}-{digest}.box"
    if not box.is_file():
        print(says(en=f"building {box.name}", zh=f"正在构建 {box.name}"), flush=True)
        packages = ["--", *images.definition.vm.of(host.suite)] if provider == "libvirt" else []
        arguments: list[str | Path] = [recipe, box, key, *lower, *packages]
        machine.run(arguments, text=apt_sources().replace("SUITE", host.suite))
    return box


def link_repository(images: Images, suite: Suite) -> None:
    """Point boxes/repositories/<suite> at the packages that hardening installs, as the lab mounts them."""
    links = folder() / "repositories"
    (links / "empty").mkdir(parents=True, exist_ok=True)  # a read-only overlay has two layers at least
    new = links / f".{suite}.new"
    new.unlink(missing_ok=True)
    new.symlink_to(images.repository(suite) / "debs")
    new.rename(links / suite)


def add_to_vagrant(box: Path, name: str, provider: str) -> None:
    """Give `box` to Vagrant as `name`, in the place of an older one. Raises LabError where Vagrant refuses."""
    done = subprocess.run(
        ["vagrant", "box", "add", "--force", "--name", name, "--provider", provider, box],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LabError(
            says(
                en=f"vagrant does not take {box}: {done.stderr.strip()}",
                zh=f"vagrant 未能添加 {box}：{done.stderr.strip()}",
            )
        )


def main() -> int:
    """Build and add the boxes; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "provider", nargs="*", choices=[*PROVIDERS, []], default=["lxc"], help="lxc (default), libvirt"
    )
    parser.add_argument("--lang", choices=["en", "zh"], default="en")
    chosen = parser.parse_args()
    try:
        machine.require()
        if shutil.which("vagrant") is None:
            vagrant_key()
        clinic = definition.load()
        images = Images(clinic)
        folder().mkdir(parents=True, exist_ok=True)
        boxes = {box_name(host): host for host in clinic.hosts.values()}
        for host in boxes.values():
            link_repository(images, host.suite)
        for provider in chosen.provider or ["lxc"]:
            for name, host in boxes.items():
                add_to_vagrant(build(images, host, provider), name, provider)
                print(f"{name} ({provider})", flush=True)
    except MedsecError as error:
        print(in_language(error.args[0], chosen.lang), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
