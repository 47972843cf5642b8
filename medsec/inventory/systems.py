"""Operating systems as hosts name themselves in /etc/os-release (os-release(5))."""

from __future__ import annotations

import shlex

from medsec.catalogue.controls import OsFamily

_FAMILIES: dict[str, OsFamily] = {
    "debian": "debian",
    "ubuntu": "debian",
    "rhel": "redhat",
    "fedora": "redhat",
    "centos": "redhat",
}
KNOWN = tuple(_FAMILIES)


def os_release(text: str) -> dict[str, str]:
    """Return the fields of an os-release file; lines that do not parse are left out."""
    release: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.strip().partition("=")
        if not separator or name.startswith("#"):
            continue
        try:
            release[name] = " ".join(shlex.split(value))
        except ValueError:
            continue  # an unbalanced quote in one line says nothing about the others
    return release


def os_family(release: dict[str, str]) -> OsFamily | None:
    """Return the family of the system, by its ID or what it says it is like, or None for one that is not known."""
    for name in (release.get("ID", ""), *release.get("ID_LIKE", "").split()):
        if name in _FAMILIES:
            return _FAMILIES[name]
    return None
