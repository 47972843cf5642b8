"""What pam_faillock needs around it: the profiles that switch it on, and an SSH server that asks PAM."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pyinfra import host
from pyinfra.api import StringCommand, operation
from pyinfra.facts.server import Command

from medsec import resources
from medsec.operations.contents import content
from medsec.operations.settled import Settlement

_SSHD = "/etc/ssh/sshd_config"
# sed knows no case-insensitive match of one pattern in every build.
_KEYWORD = "".join(f"[{letter.upper()}{letter}]" for letter in "usepam")


@operation()
def profiles(*, script: str, arguments: Sequence[str], sources: Sequence[str]) -> Generator[StringCommand]:
    """Switch pam_faillock on by Debian's profiles or authselect's feature, where the common stacks lack it.

    + script, arguments: the reading script of the role and what it is called with
    + sources: the profiles' paths from the project's root
    """
    state = host.get_fact(Settlement, script=script, arguments=list(arguments))
    if state["profiles"]:
        names = [source.rsplit("/", 1)[-1] for source in sources]
        for source, name in zip(sources, names, strict=True):
            text = (resources.root() / source).read_text(encoding="utf-8")
            yield from content._inner(dest=f"/usr/share/pam-configs/{name}", content=text)
        yield StringCommand(
            f"DEBIAN_FRONTEND=noninteractive pam-auth-update --enable {' '.join(names)} < /dev/null"
        )
    if state["authselect"]:
        yield StringCommand("authselect enable-feature with-faillock")


@operation()
def sshd_asks_pam() -> Generator[StringCommand]:
    """Turn `UsePAM no` where the SSH server obeys one, and say yes where nothing is said."""
    if (
        host.get_fact(Command, "if command -v sshd > /dev/null; then sshd -T | grep -i '^usepam'; fi")
        != "usepam no"
    ):
        return
    yield StringCommand(
        f'set -e; for f in {_SSHD} {_SSHD}.d/*.conf; do if [ -f "$f" ]; then '
        rf"""sed -i 's/^[[:blank:]]*{_KEYWORD}[[:blank:]=]\{{1,\}}"\{{0,1\}}[Nn][Oo]"\{{0,1\}}.*$/UsePAM yes/' "$f"; """
        f"fi; done; if ! grep -q '^UsePAM yes$' {_SSHD}; then sed -i '1i UsePAM yes' {_SSHD}; fi; sshd -t"
    )


def sshd_unit() -> str:
    """Return the name of the SSH server's unit on this host."""
    known = host.get_fact(Command, "systemctl cat ssh.service > /dev/null 2>&1 && echo yes || echo no")
    return "ssh" if known == "yes" else "sshd"
