"""Tells which files would be written: scripts that delete logs may lie anywhere."""

from __future__ import annotations

import shlex

from medsec.inventory import Params
from medsec.resources import root

# retention.sh answers in JSON; each file stands on a line of its own, and so does each list.
_FIND = r"""
sed -n -e 's,^"\(/[^"]*\)": {"user": .*,file\t\1,p' -e 's/^"folders": \[\(.*\)\].*/folder\t\1/p' \
    -e 's/^"\(start\|revert\|restart\)": \[\(.*\)\].*/unit\t\2/p' |
  awk -F '\t' '{ kind = ($1 == "folder" ? "file" : $1); gsub(/"/, "", $2); count = split($2, parts, / *, */)
    for (i = 1; i <= count; i++) if (parts[i] != "") print kind "\t" parts[i] }'
"""


def scope(params: Params) -> str:
    """Return the script that prints the files that the remedy would write and the units that it would start."""
    script = (root() / "roles/logs/files/retention.sh").read_text(encoding="utf-8")
    read = shlex.join(["sh", "-c", script, "retention.sh", str(params.days), str(params.journal_min_mib)])
    return f"{read} | {_FIND.strip()}"
