"""Keeping modules out of the kernel: the rule, what contradicts it, what is loaded already, and the initramfs."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Sequence

from pyinfra.api import FactBase, StringCommand, operation
from pyinfra.api.exceptions import FactProcessError
from pyinfra.context import host

from medsec.inventory import Params
from medsec.operations.templates import template
from medsec.resources import root


class WaysIn(FactBase[list[tuple[str, str]]]):
    """What still lets a module in, as `refusal.sh report` or `images` says: (rule | conflict | loaded | image, name)."""

    def command(self, modules: Sequence[str], ask: str = "report") -> str:
        return refusal(ask, *modules)

    @staticmethod
    def default() -> list[tuple[str, str]]:
        """No way in is an empty answer."""
        return []

    def process(self, output: list[str]) -> list[tuple[str, str]]:
        ways = []
        for line in output:
            kind, _, name = line.partition(" ")
            if kind not in ("rule", "conflict", "loaded", "image") or not name:
                raise FactProcessError(f"refusal.sh answered {line!r}")
            ways.append((kind, name))
        return ways


def refusal(*arguments: str) -> str:
    """Return the command line that runs the role's `refusal.sh`."""
    text = (root() / "roles/usb/files/refusal.sh").read_text(encoding="utf-8")
    return shlex.join(["sh", "-c", text, "refusal.sh", *arguments])


@operation()
def rule(*, src: str, dest: str, params: Params, modules: Sequence[str]) -> Generator[StringCommand]:
    """Make `dest` the rendering of `src`, where modprobe would still load one of `modules`."""
    if any(kind == "rule" for kind, _ in host.get_fact(WaysIn, modules=modules)):
        yield from template._inner(src=src, dest=dest, params=params, mode="0644")


@operation()
def contradictions_out_of_use(*, modules: Sequence[str], every: Sequence[str]) -> Generator[StringCommand]:
    """Comment out the lines that would load one of `every` all the same, where one of `modules` has a way in."""
    for kind, name in host.get_fact(WaysIn, modules=modules):
        if kind == "conflict":
            yield StringCommand(refusal("yield", name, *every))


@operation()
def unloaded(*, modules: Sequence[str]) -> Generator[StringCommand]:
    """Take `modules` out of the kernel; fails while a USB medium is mounted."""
    loaded = [name for kind, name in host.get_fact(WaysIn, modules=modules) if kind == "loaded"]
    if loaded:
        yield StringCommand(refusal("unload", *loaded))


@operation()
def initramfs_rebuilt(*, modules: Sequence[str]) -> Generator[StringCommand]:
    """Build every initramfs anew, where one carries one of `modules` without the rule against it."""
    if host.get_fact(WaysIn, modules=modules, ask="images"):
        yield StringCommand(refusal("rebuild"))
