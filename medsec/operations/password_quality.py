"""What pam_pwquality needs on a host, where pam_pwquality is what judges passwords."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pyinfra import host
from pyinfra.api import StringCommand, operation
from pyinfra.facts.files import File
from pyinfra.facts.server import LinuxDistribution
from pyinfra.operations import apt, dnf

from medsec.operations.settled import Settlement

DICTIONARY = "/var/cache/cracklib/cracklib_dict.pwd"


@operation()
def packages(*, script: str, arguments: Sequence[str]) -> Generator[StringCommand]:
    """Install the module and its word list, unless another module judges passwords here.

    + script, arguments: the reading script of the role and what it is called with
    """
    if not host.get_fact(Settlement, script=script, arguments=list(arguments))["packages"]:
        return
    # cracklib-runtime is no more than recommended by libpam-pwquality; without its word list every password is refused.
    if _is_debian():
        yield from apt.packages._inner(packages=["libpam-pwquality", "cracklib-runtime"])
    else:
        yield from dnf.packages._inner(packages=["libpwquality", "cracklib-dicts"])


@operation()
def word_list(*, script: str, arguments: Sequence[str]) -> Generator[StringCommand]:
    """Build cracklib's word list where it is missing, since every password is refused without it."""
    if not host.get_fact(Settlement, script=script, arguments=list(arguments))["packages"]:
        return
    if _is_debian() and not host.get_fact(File, path=DICTIONARY):
        yield StringCommand("update-cracklib")


@operation()
def profile(*, script: str, arguments: Sequence[str]) -> Generator[StringCommand]:
    """Switch Debian's own PAM profile on where it is off."""
    if host.get_fact(Settlement, script=script, arguments=list(arguments))["profile"]:
        yield StringCommand("DEBIAN_FRONTEND=noninteractive pam-auth-update --enable pwquality < /dev/null")


def _is_debian() -> bool:
    release = host.get_fact(LinuxDistribution)["release_meta"]
    return "debian" in f"{release.get('ID', '')} {release.get('ID_LIKE', '')}".split()
