"""The chain of restore drills that a database host keeps of itself."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from datetime import datetime

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import says

_LOOK = r"""
machine=$(printf %s "$(cat /etc/machine-id)" | sha256sum | cut -d' ' -f1) || exit 3
printf 'host\t%s\t%s\n' "$(date +%s)" "$machine"
cd -- HOME 2> /dev/null || exit 0
printf 'folder\t%s\t%s\n' "$(stat -c '%u %a' .)" .
for f in 2*.json; do
  [ -e "$f" ] || continue
  printf 'record\t%s\t%s\t%s\t%s\t%s\n' "$(stat -c '%u %a' -- "$f")" "$(stat -c %Y -- "$f")" "$(sha256sum < "$f" | cut -d' ' -f1)" "$f" "$(head -c 65536 -- "$f" | tr -d '\n')"
done
"""


@dataclass(frozen=True)
class KeptDrill:
    """One drill of the chain; `problem` says why its record cannot be believed."""

    file: str
    finished: float
    outcome: str
    backup: str
    problem: str | None


@dataclass(frozen=True)
class Drills:
    """The drills of one product, the oldest first, and the host's own time in seconds since 1970."""

    now: float
    kept: list[KeptDrill]


def drills(host: Host, home: str, product: str) -> Drills:
    """Return the drills whose records the host keeps in the folder `home`, each held against the one before.

    Raises ProbeError when the host does not tell.
    """
    answer = host.run(_LOOK.replace("HOME", shlex.quote(home)))
    lines = [line.split("\t") for line in answer.stdout.splitlines()]
    own = next((line for line in lines if line[0] == "host"), None)
    if answer.rc != 0 or own is None:
        raise ProbeError(
            says(
                en=f"the records of drills in {home} cannot be read: {answer.stderr.strip()}",
                zh=f"无法读取 {home} 中的演练记录：{answer.stderr.strip()}",
            )
        )
    folder = next((line[1] for line in lines if line[0] == "folder"), "0 700")
    kept, before = [], "none"
    for line in lines:
        if line[0] == "record" and len(line) == 6:
            _, access, written, digest, file, text = line
            kept.append(_kept(file, text, float(written), before, own[2], product, (folder, access)))
            before = digest
    return Drills(float(own[1]), kept)


def _kept(
    file: str, text: str, written: float, before: str, machine: str, product: str, access: tuple[str, str]
) -> KeptDrill:
    try:
        value = json.loads(text)
        finished = datetime.fromisoformat(value["finished"]).timestamp()
        outcome, backup = str(value["outcome"]), str(value["backup"])
        problem = None
        if any(not entry.startswith("0 ") or int(entry.split()[1], 8) & 0o022 for entry in access):
            problem = "others than root may write it"
        elif value["previous"] != before:
            problem = "a record before it was changed, removed or added"
        elif value["machine"] != machine or value["product"] != product:
            problem = f"it is of {value['product']} on {value['host']}"
        elif not -60 <= written - finished <= 3600:
            problem = "it was not written when the drill ended"
    except (ValueError, KeyError, TypeError) as error:
        return KeptDrill(file, 0.0, "", "", f"{type(error).__name__}: {error}")
    return KeptDrill(file, finished, outcome, backup, problem)
