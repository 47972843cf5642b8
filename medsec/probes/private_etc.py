"""A copy of /etc that only one command sees, so that a proof may change accounts while the host stays as it is.

The command runs in a mount namespace of its own, where /etc is a copy in memory. Password files, PAM files and the
tallies of failed logins are those of the host until the proof changes its copy; the host's own files are never opened
for writing. When the last process of the proof ends, however it ends (SIGKILL, a cut line, a power failure), the
kernel drops the namespace and the copy: nothing has to be cleaned up. What remains is the record that the attempts
leave in the host's log, as they should.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

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


def run(host: Host, script: str, *, hide: Sequence[str] = ()) -> str:
    """Return what `script` (POSIX sh) prints when it runs as root over a private copy of /etc.

    + hide: folders that the script sees empty, such as the one in which failed logins are counted

    Raises ProbeError when the host does not allow the private copy, or when the script fails.
    """
    inner = _SET_UP.replace("set -eu\n", f"set -eu\ntrap 'exit {_FAILED}' EXIT\n") + "trap - EXIT\n"
    if hide:
        inner += _HIDE.replace("{folders}", shlex.join(hide))
    inner += script
    answer = host.run(
        "export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin; "
        f"command -v unshare > /dev/null || exit {_FAILED}; "
        f"exec unshare --mount --propagation private sh -c {shlex.quote(inner)}"
    )
    if answer.rc == _FAILED:
        raise ProbeError(
            says(
                en="a private copy of /etc cannot be made (unshare, mount and tmpfs as root are needed), so nothing "
                f"can be tried without touching the host's accounts: {answer.stderr.strip()}",
                zh="无法建立 /etc 的私有副本（需要以 root 使用 unshare、mount 和 tmpfs），为不触动主机账户而未作实测："
                f"{answer.stderr.strip()}",
            )
        )
    if answer.rc != 0:
        raise ProbeError(
            says(
                en=f"the attempts broke off (exit {answer.rc}): {answer.stderr.strip()}",
                zh=f"实测中断（退出码 {answer.rc}）：{answer.stderr.strip()}",
            )
        )
    return str(answer.stdout)
