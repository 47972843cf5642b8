"""Putting software that a catalogue names out of use, find by find, by the role's own script."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Generator

import yaml
from pyinfra.api import FactBase, StringCommand, operation
from pyinfra.api.exceptions import FactProcessError
from pyinfra.context import host

from medsec.errors import UsageError
from medsec.inventory import Params
from medsec.operations.rendering import render
from medsec.resources import root
from medsec.text import says

_ROLE = root() / "roles/remote_control"


class Finds(FactBase[list[list[str]]]):
    """What `evict.sh plan` finds: unit, package, process, entry and file lines, split at tabs."""

    def command(self, catalogue: str) -> str:
        # A fact has no stdin; base64 keeps the catalogue free of the quoting of three shells.
        text = base64.b64encode(catalogue.encode()).decode("ascii")
        return f"printf %s {text} | base64 -d | {evict('plan')}"

    @staticmethod
    def default() -> list[list[str]]:
        """Nothing found is an empty answer."""
        return []

    def process(self, output: list[str]) -> list[list[str]]:
        finds = [line.split("\t") for line in output if line]
        for find in finds:
            if find[0] not in ("unit", "package", "process", "entry", "file") or len(find) < 2:
                raise FactProcessError(f"evict.sh answered {find!r}")
        return finds


def evict(*arguments: str) -> str:
    """Return the command line that runs `evict.sh` with `arguments`, the catalogue being on its stdin."""
    text = (_ROLE / "files/evict.sh").read_text(encoding="utf-8")
    return shlex.join(["sh", "-c", text, "evict.sh", *arguments])


def catalogue(params: Params, file: str = "products.yml") -> str:
    """Return the catalogue as `evict.sh` reads it, without the registered exceptions.

    + file: which catalogue, of the role's files
    Raises UsageError when an exception names no known product or no approval.
    """
    written = yaml.safe_load((_ROLE / "files" / file).read_text(encoding="utf-8"))
    products = written["products"]
    known = [product["id"] for product in products]
    for entry in params.allowed:
        if entry.get("product") not in known or not str(entry.get("approval", "")).strip():
            raise UsageError(
                says(
                    en=f"{params.variable('allowed')}: {entry!r} must name a product ({', '.join(known)}) and its approval",
                    zh=f"{params.variable('allowed')}：{entry!r} 须写明产品编号（{'、'.join(known)}）和批准文号",
                )
            )
    variables = {f"remote_control_{name}": value for name, value in params.items()} | {
        "remote_control_kind": params.get("kind"),
        "remote_control_products": products,
        "remote_control_also_words": written["also_words"],
        "remote_control_runnable_suffixes": written["runnable_suffixes"],
        "remote_control_needed_stay": written.get("needed_stay", False),
    }
    return render(_ROLE / "templates/catalogue.tsv.j2", variables)


@operation()
def evicted(*, kinds: tuple[str, ...], catalogue: str) -> Generator[StringCommand]:
    """Put every find of these kinds out of use.

    + kinds: of "unit", "process", "entry" and "file"
    + catalogue: the text that `catalogue(params)` makes
    """
    for kind, *arguments in host.get_fact(Finds, catalogue=catalogue):
        if kind in kinds:
            yield StringCommand(evict(kind, *arguments), _stdin=catalogue)


@operation()
def purged(*, catalogue: str) -> Generator[StringCommand]:
    """Purge the packages that the catalogue names; logs that tell who connected are kept, whatever the packages do."""
    names = [arguments[0] for kind, *arguments in host.get_fact(Finds, catalogue=catalogue) if kind == "package"]
    if names:
        yield StringCommand(evict("keep"), _stdin=catalogue)
        yield StringCommand(
            f"if command -v apt-get > /dev/null; then DEBIAN_FRONTEND=noninteractive apt-get -y purge {shlex.join(names)};"
            f" else dnf -y remove {shlex.join(names)}; fi"
        )
        yield StringCommand(evict("restore"), _stdin=catalogue)
