"""Turns every setting that lets root in, and says no where nothing says so."""

from __future__ import annotations

from pyinfra import host
from pyinfra.facts.files import FindFiles
from pyinfra.facts.server import Command
from pyinfra.operations import files, server, systemd

from medsec.errors import UsageError
from medsec.inventory import Params
from medsec.resources import root
from medsec.text import says

MAIN = "/etc/ssh/sshd_config"
# sed knows no case-insensitive group: the words are matched as sshd_config(5) writes them, in either case.
KEYWORD = "".join(f"[{letter.upper()}{letter}]" for letter in "permitrootlogin")
PERMITS = (
    rf"^([[:blank:]]*){KEYWORD}[[:blank:]=]+\"?(yes|prohibit-password|without-password|forced-commands-only)\"?.*$"
)


def deploy(params: Params) -> None:
    """Apply the remedy. Raises UsageError when the operator himself is logged in as root."""
    if host.get_fact(Command, 'printf %s "${SUDO_USER:-root}"') == "root":
        raise UsageError(
            says(
                en="medsec is logged in as root; log in with an account of your own that may use sudo (ansible_user), "
                "since this control shuts root out",
                zh="当前以 root 登录；请改用有 sudo 权限的个人账户（ansible_user），否则应用本控制项后将无法登录",
            )
        )
    effective = host.get_fact(Command, _script("root_login")).splitlines()
    drop_ins = sorted(host.get_fact(FindFiles, "/etc/ssh/sshd_config.d", fname="*.conf") or [])
    changes = [
        files.replace(
            name=f"Turn each setting that lets root in: {path}",
            path=path,
            text=PERMITS,
            replace=r"\1PermitRootLogin no",
            extended_regex=True,
        )
        for path in [MAIN, *drop_ins]
    ]
    if "open" in effective:
        changes.append(
            server.shell(
                name="Say no first, where nothing says so yet",
                commands=[
                    f"new=$(mktemp {MAIN}.XXXXXX) && trap 'rm -f \"$new\"' EXIT && "
                    f'{{ echo \'PermitRootLogin no\'; cat {MAIN}; }} > "$new" && sshd -t -f "$new" && cat "$new" > {MAIN}'
                ],
            )
        )
    pending = host.get_fact(Command, _script("pending")) == "pending"
    systemd.service(
        name="Let the daemon read its settings now",
        service="ssh"
        if host.get_fact(Command, "systemctl cat ssh.service >/dev/null 2>&1 && echo yes || echo no") == "yes"
        else "sshd",
        running=None,
        reloaded=True,
        _if=lambda: pending or any(change.did_change() for change in changes),
    )


def _script(name: str) -> str:
    return (root() / f"roles/ssh/files/{name}.sh").read_text(encoding="utf-8")
