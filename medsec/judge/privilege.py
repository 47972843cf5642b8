"""How a command becomes root's on a host: the one place that knows of sudo."""

from __future__ import annotations

import shlex

# The host itself stops what outlives the controller's patience (coreutils' `timeout`, where there is one), so that a
# hanging command does not stay behind as root's. Tools in sbin are found also where sudo sets no secure_path. The
# shell stays and says how a signal ended the command (128 and its number), which SSH would tell in another way than
# a local process does; what it would print of that itself is none of the command's output.
_WRAPPER = (
    'PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"; export PATH; exec 3>&2 2>/dev/null; '
    'if command -v timeout >/dev/null; then (exec timeout -k 5 "$1" sh -c "$2" 2>&3 3>&-); '
    'else (exec sh -c "$2" 2>&3 3>&-); fi; exit'
)
_GRACE = 5


def as_root(command: str, *, sudo: bool, seconds: float) -> str:
    """Return the line that runs `command` as root, stopped by the host after about `seconds`.

    With `sudo`, `sudo -n` is asked, which fails rather than wait for a password. A sudo password belongs here when it
    comes: this function would then return the line and what to write to its standard input.
    """
    return shell_as_root(_WRAPPER, str(int(seconds) + _GRACE), command, sudo=sudo)


def shell_as_root(script: str, *arguments: str, sudo: bool) -> str:
    """Return the line that runs the shell script `script` as root, given `arguments`, without a limit of its own."""
    line = shlex.join(["sh", "-c", script, "sh", *arguments])
    return f"sudo -n -- {line}" if sudo else line
