"""Puts pam_pwquality before whatever stores passwords, and lifts each setting that falls short."""

from __future__ import annotations

from medsec.inventory import Params
from medsec.operations import password_quality
from medsec.operations.settled import settled

SCRIPT = "roles/accounts/files/password_quality.sh"


def deploy(params: Params) -> None:
    arguments = [str(params.minlen), str(params.minclass)]
    password_quality.packages(
        name="Install the judge of passwords and its word list", script=SCRIPT, arguments=arguments
    )
    password_quality.word_list(name="Build the word list where it is missing", script=SCRIPT, arguments=arguments)
    password_quality.profile(name="Switch on Debian's profile of it", script=SCRIPT, arguments=arguments)
    settled(name="Write what falls short", script=SCRIPT, arguments=arguments)
