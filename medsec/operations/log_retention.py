"""Keeping logs long enough: what a role's reading script finds short is set right."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Generator
from typing import Any

from pyinfra import host
from pyinfra.api import FactBase, StringCommand, operation
from pyinfra.api.exceptions import FactProcessError
from pyinfra.operations import files

from medsec import resources
from medsec.operations.contents import content

_SCRIPT = "roles/logs/files/retention.sh"
_WORDS = {"files", "folders", "reload", "start", "revert", "restart", "reread", "by_hand"}


class Shortfall(FactBase[dict[str, Any]]):
    """What `retention.sh` answers: the files to write, the units to start, revert and restart, what is left to a person."""

    def command(self, days: int, journal_min_mib: int) -> str:
        # base64 keeps the script free of the quoting of three shells.
        source = base64.b64encode((resources.root() / _SCRIPT).read_bytes()).decode("ascii")
        return f'sh -c "$(printf %s {source} | base64 -d)" retention.sh {int(days)} {int(journal_min_mib)}'

    def process(self, output: list[str]) -> dict[str, Any]:
        try:
            answer = json.loads("\n".join(output))
        except ValueError as error:
            raise FactProcessError(f"retention.sh answered {output!r}") from error
        if not isinstance(answer, dict) or answer.keys() != _WORDS:
            raise FactProcessError(f"retention.sh answered {answer!r}")
        return answer


@operation()
def written(*, days: int, journal_min_mib: int) -> Generator[StringCommand]:
    """Write the settings that keep logs too short.

    + days: for how many days records are kept at least
    + journal_min_mib: what the journal may occupy at least, in MiB
    """
    found = host.get_fact(Shortfall, days=days, journal_min_mib=journal_min_mib)
    for folder in found["folders"]:
        yield from files.directory._inner(path=folder, user="root", group="root", mode="0755")
    for path, wanted in found["files"].items():
        yield from content._inner(
            dest=path, content=wanted["content"], mode=wanted["mode"], user=wanted["user"], group=wanted["group"]
        )


@operation()
def started(*, days: int, journal_min_mib: int) -> Generator[StringCommand]:
    """Start what writes and rotates logs, now and at boot.

    + days: for how many days records are kept at least
    + journal_min_mib: what the journal may occupy at least, in MiB
    """
    found = host.get_fact(Shortfall, days=days, journal_min_mib=journal_min_mib)
    if found["reload"]:
        yield StringCommand("systemctl daemon-reload")
    for unit in found["revert"]:
        yield StringCommand(f"systemctl revert {shlex.quote(unit)}")
    for unit in found["start"]:
        name = shlex.quote(unit)
        yield StringCommand(f"systemctl daemon-reload && systemctl unmask {name} && systemctl enable --now {name}")


@operation()
def restarted(*, days: int, journal_min_mib: int) -> Generator[StringCommand]:
    """Restart the daemons that have not read their settings.

    + days: for how many days records are kept at least
    + journal_min_mib: what the journal may occupy at least, in MiB
    """
    found = host.get_fact(Shortfall, days=days, journal_min_mib=journal_min_mib)
    for unit in found["restart"]:
        yield StringCommand(f"systemctl restart {shlex.quote(unit)}")
    if "systemd-journald.service" in found["restart"]:
        yield StringCommand("journalctl --flush")
    for unit in found["reread"]:
        yield StringCommand(f"systemctl kill --kill-who=main --signal=HUP {shlex.quote(unit)}")
