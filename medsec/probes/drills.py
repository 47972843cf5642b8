"""The chain of restore drills that a database host keeps of itself."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import says

_LOOK = r"""
machine=$(printf %s "$(cat /etc/machine-id)" | sha256sum | cut -d' ' -f1) || exit 3
printf 'host\t%s\t%s\n' "$(date +%s)" "$machine"
for p in PRODUCTS; do
  cd -- HOME/"$p" 2> /dev/null || continue
  access=$(stat -c '%u %a' .)
  for f in [0-9]*.json; do
    [ -e "$f" ] || continue
    printf 'record\t%s\t%s,%s\t%s\t%s\t%s\t%s\n' "$p" "$access" "$(stat -c '%u %a' -- "$f")" "$(stat -c %Y -- "$f")" \
      "$(sha256sum < "$f" | cut -d' ' -f1)" "$f" "$(head -c 65536 -- "$f" | tr -d '\n')"
  done
  cat [0-9]*.json 2> /dev/null | sed -n 's,.*"backup": "\(/[^"]*\)/[^/"]*".*,\1,p' | sort -u | while IFS= read -r d; do
    if ls -d "$d"/2*Z > /dev/null 2>&1; then printf 'sets\t%s\n' "$d"; fi
  done
done
"""


@dataclass(frozen=True)
class KeptDrill:
    """One drill of the chain; `problem` says why its record cannot be believed."""

    file: str
    finished: float
    outcome: str
    backup: str
    # How that was made, as `medsec drill restore --system` names it: the product's dumps, or another way beside them.
    way: str
    problem: str | None


@dataclass(frozen=True)
class Drills:
    """The drills of one product, the oldest first, and the host's own time in seconds since 1970."""

    now: float
    kept: list[KeptDrill]
    # The newest of each way of backing up. One whose backups are gone was given up; the product's dumps never are.
    newest: dict[str, KeptDrill]


def drills(host: Host, home: str, products: Sequence[str]) -> dict[str, Drills]:
    """Return the drills of each product whose records the host keeps below `home`, each held against the one before.

    Raises ProbeError when the host does not tell.
    """
    script = _LOOK.replace("PRODUCTS", shlex.join(products)).replace("HOME", shlex.quote(home))
    answer = host.run(script)
    lines = [line.split("\t", 6) for line in answer.stdout.splitlines()]
    own = next((line for line in lines if line[0] == "host"), None)
    if answer.rc != 0 or own is None:
        raise ProbeError(
            says(
                en=f"the records of drills in {home} cannot be read: {answer.stderr.strip()}",
                zh=f"无法读取 {home} 中的演练记录：{answer.stderr.strip()}",
            )
        )
    homes = {line[1] for line in lines if line[0] == "sets"}
    found = {}
    for product in products:
        kept, before = [], "none"
        for line in lines:
            if len(line) == 7 and line[:2] == ["record", product]:
                _, _, access, written, digest, file, text = line
                kept.append(_kept(file, text, float(written), before, own[2], product, access.split(",")))
                before = digest
        found[product] = Drills(float(own[1]), kept, _newest(kept, product, homes))
    return found


def _newest(kept: Sequence[KeptDrill], product: str, homes: Set[str]) -> dict[str, KeptDrill]:
    """Return the newest drill of each way that backs up still; where none does, of all."""
    ways = {drill.way for drill in kept}
    alive = {drill.way for drill in kept if drill.way == product or drill.backup.rpartition("/")[0] in homes}
    return {drill.way: drill for drill in kept if drill.way in (alive or ways)}


def _kept(
    file: str, text: str, written: float, before: str, machine: str, product: str, access: Sequence[str]
) -> KeptDrill:
    try:
        value = json.loads(text)
        finished = datetime.fromisoformat(value["finished"]).timestamp()
        outcome, backup = str(value["outcome"]), str(value["backup"])
        # Records of before ways were told apart have pgBackRest's backups by their folder.
        way = str(value.get("system") or ("pgbackrest" if "/pgbackrest/" in backup else product))
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
        return KeptDrill(file, 0.0, "", "", product, f"{type(error).__name__}: {error}")
    return KeptDrill(file, finished, outcome, backup, way, problem)
