"""Tells which files would be written: scripts that delete logs may lie anywhere."""

from __future__ import annotations

import base64
import shlex

from medsec.inventory import Params
from medsec.resources import root

# retention.sh answers in JSON; each file stands on a line of its own, and so does each list.
_FIND = r"""
sed -n -e 's,^"\(/[^"]*\)": {"user": .*,file\t\1,p' -e 's/^"folders": \[\(.*\)\].*/folder\t\1/p' \
    -e 's/^"\(start\|revert\|restart\)": \[\(.*\)\].*/unit\t\2/p' |
  awk -F '\t' '{ kind = ($1 == "folder" ? "file" : $1); gsub(/"/, "", $2); count = split($2, parts, / *, */)
    for (i = 1; i <= count; i++) if (parts[i] != "") print kind "\t" parts[i]
    if (parts[1] ~ /\/auditd\.conf$/) print "undo\tUNDO" }'
"""
# auditd may not be restarted: taken back, its old settings are read on a signal.
_UNDO = (
    "if systemctl is-active -q auditd.service; then systemctl kill --kill-who=main --signal=HUP auditd.service; fi"
)


def scope(params: Params) -> str:
    """Return the script that prints the files that the remedy would write and the units that it would start."""
    script = (root() / "roles/logs/files/retention.sh").read_text(encoding="utf-8")
    read = shlex.join(["sh", "-c", script, "retention.sh", str(params.days), str(params.journal_min_mib)])
    undo = base64.b64encode(_UNDO.encode()).decode("ascii")
    return f"{read} | {_FIND.strip().replace('UNDO', undo)}"
