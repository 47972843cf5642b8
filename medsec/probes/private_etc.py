"""A copy of /etc that only one command sees, so that a proof may change accounts while the host stays as it is.

The command runs in a mount namespace of its own, where /etc is a copy in memory. Password files, PAM files and the
tallies of failed logins are those of the host until the proof changes its copy; the host's own files are never opened
for writing. When the last process of the proof ends, however it ends (SIGKILL, a cut line, a power failure), the
kernel drops the namespace and the copy: nothing has to be cleaned up. What remains is the record that the attempts
leave in the host's log, as they should.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Sequence

from testinfra.backend.base import CommandResult
from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import says

_FAILED = 98

# `unshare` puts the shell into a mount namespace of its own; the test after the bind mount makes sure that /etc is the
# copy before anything is written to it. A name-service cache would answer for the host's real files: it is hidden.
_SET_UP = r"""
set -eu
mount -t tmpfs -o mode=0755 medsec /tmp
cp -a /etc /tmp/etc
: > /tmp/etc/.medsec-copy
mount --bind /tmp/etc /etc
test -e /etc/.medsec-copy && test "$(stat -f -c %T /etc)" = tmpfs
if [ -d /run/nscd ]; then mount -t tmpfs -o mode=0755 medsec /run/nscd; fi
"""

# A folder that is not there yet is made in the namespace's own view of its parent, where that is possible, and else
# made and removed again: an empty folder is then the most that a killed proof leaves behind.
_HIDE = r"""
made=
for folder in {folders}; do
    case $folder in /etc/*|/tmp/*) mkdir -p -- "$folder"; continue;; esac
    if [ ! -d "$folder" ]; then mkdir -p -- "$folder"; made="$made $folder"; fi
    mount -t tmpfs -o mode=0755 medsec "$folder"
done
trap 'for folder in $made; do umount -l "$folder"; rmdir "$folder"; done' EXIT
"""


# Runs the proofs side by side, each over a copy of its own, six at a time. The folders that they see empty are there
# before the first and go after the last, so that no proof takes away what another one uses.
_SIDE_BY_SIDE = r"""
set -u
mount -t tmpfs -o mode=0700 medsec /tmp || exit {failed}
count=0
proof() {
    count=$((count + 1))
    { unshare --mount --propagation private sh -c "$1$common" > "/tmp/out.$count" 2> "/tmp/err.$count"; echo "$?" > "/tmp/rc.$count"; } &
    [ $((count % 6)) -ne 0 ] || wait
}
"""
_TELL = r"""
wait
number=0
while [ "$number" -lt "$count" ]; do
    number=$((number + 1))
    printf '\036%s %s\n' "$number" "$(cat "/tmp/rc.$number")"
    cat "/tmp/out.$number"
    cat "/tmp/err.$number" >&2
done
"""
_SEPARATOR = "\x1e"


# Accounts of a proof get ids from the range that systemd gives to services while they run. What such an id logs stays in
# the journal's own file; for any other user journald makes a file of eight megabytes and more, until it has to delete
# the records that must be kept. `free_uid` makes $uid one that nobody has.
FREE_UID = r"""
used=" $(ls -ldn /proc/[0-9]* 2> /dev/null | awk '{ print $3 }' | tr '\n' ' ') "
free_uid() {
    while getent passwd "$uid" > /dev/null 2>&1 || case $used in *" $uid "*) true ;; *) false ;; esac; do
        uid=$((uid + 1))
    done
}
"""
_FIRST_UID, _UIDS = 61184, 4000


def some_uid() -> int:
    """Return where to look for a free id."""
    return _FIRST_UID + secrets.randbelow(_UIDS)


def run(host: Host, script: str, *, hide: Sequence[str] = ()) -> str:
    """Return what `script` (POSIX sh) prints when it runs as root over a private copy of /etc.

    + hide: folders that the script sees empty, such as the one in which failed logins are counted

    Raises ProbeError when the host does not allow the private copy, or when the script fails.
    """
    answer = _unshared(host, _inner(script, hide))
    _require(answer.rc, answer.stderr)
    return str(answer.stdout)


def run_all(host: Host, script: str, given: Sequence[str], *, hide: Sequence[str] = ()) -> list[str]:
    """Return what `script` prints for each of `given`, all in one command, each over a private copy of its own.

    + given: assignments that precede the script, one text for each time that it is to run
    + hide: folders that the script sees empty

    Raises ProbeError when the host does not allow the private copies, or when the script fails once.
    """
    outer = _SIDE_BY_SIDE.replace("{failed}", str(_FAILED)) + f"common={shlex.quote(_inner(script, hide))}\n"
    # What lies in a proof's own /etc or /tmp is its own already.
    shared = [folder for folder in hide if not folder.startswith(("/etc/", "/tmp/"))]
    if shared:
        outer += _HIDE.replace("{folders}", shlex.join(shared))
    outer += "".join(f"proof {shlex.quote(text)}\n" for text in given) + _TELL
    answer = _unshared(host, outer)
    _require(answer.rc, answer.stderr)
    found = []
    for number, part in enumerate(answer.stdout.split(_SEPARATOR)[1:], start=1):
        head, _, output = part.partition("\n")
        place, _, code = head.partition(" ")
        _require(int(code) if code.isdigit() and place == str(number) else 1, answer.stderr)
        found.append(output)
    if len(found) != len(given):
        raise ProbeError(
            says(
                en=f"{len(given)} attempts were started and {len(found)} answered: {answer.stderr.strip()}",
                zh=f"启动了 {len(given)} 次实测，仅有 {len(found)} 次返回结果：{answer.stderr.strip()}",
            )
        )
    return found


def _inner(script: str, hide: Sequence[str]) -> str:
    inner = _SET_UP.replace("set -eu\n", f"set -eu\ntrap 'exit {_FAILED}' EXIT\n") + "trap - EXIT\n"
    if hide:
        inner += _HIDE.replace("{folders}", shlex.join(hide))
    return re.sub(r"(?m)^\s*#.*\n", "", inner + script)  # comments need not travel to every host


def _unshared(host: Host, script: str) -> CommandResult:
    return host.run(
        "export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin; "
        f"command -v unshare > /dev/null || exit {_FAILED}; "
        f"exec unshare --mount --propagation private sh -c {shlex.quote(script)}",
        once=True,
    )


def _require(code: int, said: str) -> None:
    """Raise ProbeError unless the proof ran to its end."""
    if code == _FAILED:
        raise ProbeError(
            says(
                en="a private copy of /etc cannot be made (unshare, mount and tmpfs as root are needed), so nothing "
                f"can be tried without touching the host's accounts: {said.strip()}",
                zh="无法建立 /etc 的私有副本（需要以 root 使用 unshare、mount 和 tmpfs），为不触动主机账户而未作实测："
                f"{said.strip()}",
            )
        )
    if code != 0:
        raise ProbeError(
            says(
                en=f"the attempts broke off (exit {code}): {said.strip()}",
                zh=f"实测中断（退出码 {code}）：{said.strip()}",
            )
        )
