"""Who comes in by password: what PAM let in before a change of it, PAM must let in after it."""

from __future__ import annotations

from collections.abc import Iterable

from medsec.catalogue.controls import Control
from medsec.errors import MedsecError
from medsec.inventory import Host
from medsec.judge.ssh import SshTransport
from medsec.judge.transport import Limits
from medsec.probes import pam, pam_ways
from medsec.probes.login_attempts import trials

_PAM = ("/etc/pam.d", "/etc/pam.conf", "/etc/security", "/var/lib/pam")
# Where pam_faillock counts by default and where distributions move it: an account of the trial is counted in no real one.
_TALLIES = ["/run/faillock", "/var/run/faillock", "/var/lib/faillock"]


def concerns(controls: Iterable[Control]) -> bool:
    """Tell whether a remedy of `controls` may change what PAM does."""
    return any(file.startswith(_PAM) for control in controls for file in control.touches.files)


def accepting(host: Host) -> set[str]:
    """Return the PAM services that let in an account with the right password.

    The account exists in a private copy of /etc only. A host that cannot be asked, or that allows no such copy, is no
    proof either way: nothing is returned, and nothing is then required after the change.
    """
    try:
        connection = SshTransport(Limits(connect=10)).connect(host)
    except MedsecError:
        return set()
    try:
        known = pam.services(connection)
        stacks = {name: known.stack(name, "auth") for name in known.names()}
        groups = pam_ways.alike({name: stack for name, stack in stacks.items() if pam_ways.asks_password(stack)})
        tried = trials(connection, list(groups), deny=0, tallies=_TALLIES)
        return {
            name
            for trial in tried
            if trial.account == "user" and trial.let_in_before
            for name in groups[trial.service]
        }
    except MedsecError:
        return set()
    finally:
        connection.close()
