"""Has pam_faillock count every wrong password, in each stack that takes one, and lifts values that fall short."""

from __future__ import annotations

from pyinfra.operations import systemd

from medsec.inventory import Params
from medsec.operations import login_lock
from medsec.operations.settled import settled

SCRIPT = "roles/accounts/files/login_lock.sh"
# The count is taken back by authsucc, after the right password. A pam_faillock in the account stack would take it back
# (and lift a lock) whenever cron, sudo or a login by key asks for the account, with no password at all.
PROFILES = tuple(
    f"roles/accounts/files/{name}" for name in ("medsec-faillock-first", "medsec-faillock", "medsec-faillock-last")
)


def deploy(params: Params) -> None:
    arguments = [
        str(params[name])
        for name in (
            *("deny", "unlock_time", "fail_interval", "root_unlock_time"),
            *("unlock_time_least", "fail_interval_least", "root_unlock_time_least"),
        )
    ]
    arguments.append(":".join(entry["account"] for entry in params.break_glass) or "-")
    login_lock.profiles(
        name="Switch the profiles of the lock-out on", script=SCRIPT, arguments=arguments, sources=PROFILES
    )
    settled(name="Write what falls short", script=SCRIPT, arguments=arguments)
    asks = login_lock.sshd_asks_pam(name="Let the SSH server ask PAM")
    systemd.service(
        name="Let the SSH server read its settings now",
        service=login_lock.sshd_unit(),
        running=None,
        reloaded=True,
        _if=asks.did_change,
    )
