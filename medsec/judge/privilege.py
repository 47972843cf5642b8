"""How a command becomes root's on a host: the one place that knows of sudo."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from medsec.errors import ProbeError
from medsec.evidence.plain import plain
from medsec.inventory.hosts import Login
from medsec.inventory.passwords import FORMS, SOURCE, STANDARD, Password
from medsec.text import Text, says

# The host itself stops what outlives the controller's patience (coreutils' `timeout`, where there is one), so that a
# hanging command does not stay behind as root's. Tools in sbin are found also where sudo sets no secure_path. The
# shell stays and says how a signal ended the command (128 and its number), which SSH would tell in another way than
# a local process does; what it would print of that itself is none of the command's output. Its first words tell that
# it is root's: what stands before them is sudo's, and without them no exit code is the command's.
_WRAPPER = (
    'PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"; export PATH; [ -z "$3" ] || echo "$3" >&2; exec 3>&2 2>/dev/null; '
    'if command -v timeout >/dev/null; then (exec timeout -k 5 "$1" sh -c "$2" 2>&3 3>&-); '
    'else (exec sh -c "$2" 2>&3 3>&-); fi; exit'
)
_GRACE = 5
# sudo gets the password, and an end behind it, from a pipe of its own: it cannot take what follows for another try (each
# of which would count towards a lock), and where it asks for nothing the password is read by nobody. What follows is then
# read by root's shell from where the outer one got it. `read` and `printf` are the shell's own: nothing of it is on a
# command line or in an environment.
_HAND_OVER = (
    "IFS= read -r ms_p; printf '%s\\n' \"$ms_p\"|sudo -S -p '' -- "
    'sh -c \'exec <"/proc/$1/fd/0"||exit;shift;exec sh -c "$@"\' sh $$ "$@"'
)


@dataclass(frozen=True)
class Privilege:
    """Whether root is reached by sudo, and the password that sudo asks for, if any."""

    sudo: bool
    password: Password | None = None

    @classmethod
    def of(cls, login: Login) -> Privilege:
        """Return how whoever comes by `login` becomes root."""
        return cls(login.sudo and login.user != "root", login.password)


@dataclass(frozen=True)
class Line:
    """A command line for the host, and what is to be written to its standard input before anything else."""

    text: str
    first: bytes = b""


def as_root(command: str, privilege: Privilege, *, seconds: float, mark: str = "") -> Line:
    """Return what runs `command` as root, stopped by the host after about `seconds`; it prints `mark` to stderr first.

    Raises UsageError where the password cannot be read.
    """
    return shell_as_root(_WRAPPER, str(int(seconds) + _GRACE), command, mark, privilege=privilege)


def shell_as_root(script: str, *arguments: str, privilege: Privilege) -> Line:
    """Return what runs the shell script `script` as root, given `arguments`, without a limit of its own.

    Without a password `sudo -n` is asked, which fails rather than wait for one. Raises UsageError where the password
    cannot be read.
    """
    line = [script, "sh", *arguments]
    if not privilege.sudo:
        return Line(shlex.join(["sh", "-c", *line]))
    if privilege.password is None:
        return Line(shlex.join(["sudo", "-n", "--", "sh", "-c", *line]))
    return Line(shlex.join(["sh", "-c", _HAND_OVER, "sh", *line]), f"{privilege.password.reveal()}\n".encode())


class NoPrivilege(ProbeError):
    """sudo made nobody root."""

    def __init__(self, text: Text) -> None:
        super().__init__(text)
        self.text = text


def no_privilege(host: str, login: Login, said: str) -> NoPrivilege:
    """Return the error for a host on which root was not reached; `said` are the words that came back."""
    lines = [line for line in plain(said).splitlines() if line.strip()]
    last = lines[-1].strip()[:200] if lines else "-"
    return NoPrivilege(
        _without_password(host, login, last) if login.password is None else _refused(host, login, last)
    )


def _refused(host: str, login: Login, last: str) -> Text:
    origin = login.password.origin if login.password else ""
    return says(
        en=f"host {host}: no privilege: sudo does not make {login.user!r} root with the password from {origin} ({last}). "
        "Correct the password, and see whether sudo is granted or locked: `sudo -l`, `faillock`",
        zh=f"主机 {host}：权限不足：用户 {login.user!r} 使用 {origin} 提供的口令无法通过 sudo 成为 root（{last}）。"
        "请核对口令，并用 `sudo -l`、`faillock` 查看是否已授权或被锁定",
    )


def _without_password(host: str, login: Login, last: str) -> Text:
    return says(
        en=f"host {host}: no privilege: {login.user!r} cannot run commands as root without a password ({last}). "
        f"Name the password ({STANDARD[0]}, encrypted by ansible-vault; or {SOURCE}: {FORMS}), "
        f"or let sudo ask for none: `{login.user} ALL=(root) NOPASSWD: ALL` in /etc/sudoers.d/, checked with `visudo -c`",
        zh=f"主机 {host}：权限不足：用户 {login.user!r} 无法免口令以 root 执行命令（{last}）。"
        f"请提供口令（用 ansible-vault 加密的 {STANDARD[0]}，或 {SOURCE}: {FORMS}），"
        f"或在 /etc/sudoers.d/ 中授权免口令：`{login.user} ALL=(root) NOPASSWD: ALL`，并用 `visudo -c` 校验",
    )
