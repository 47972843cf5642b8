"""How a command becomes root's on a host: the one place that knows of sudo."""

from __future__ import annotations

import shlex

# The host itself stops what outlives the controller's patience (coreutils' `timeout`, where there is one), so that a
# hanging command does not stay behind as root's. Tools in sbin are found also where sudo sets no secure_path.
_WRAPPER = (
    'PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"; export PATH; '
    'if command -v timeout >/dev/null 2>&1; then exec timeout -k 5 "$1" sh -c "$2"; else exec sh -c "$2"; fi'
)
_GRACE = 5


def as_root(command: str, *, sudo: bool, seconds: float) -> str:
    """Return the line that runs `command` as root, stopped by the host after about `seconds`.

    With `sudo`, `sudo -n` is asked, which fails rather than wait for a password. A sudo password belongs here when it
    comes: this function would then return the line and what to write to its standard input.
    """
    limit = str(int(seconds) + _GRACE)
    line = shlex.join(["sh", "-c", _WRAPPER, "sh", limit, command])
    return f"sudo -n -- {line}" if sudo else line
