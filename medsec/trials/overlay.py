"""What a remedy changed on a host, read from the host's overlay, against what its control says it touches."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from medsec.catalogue.controls import Touches
from medsec.catalogue.patterns import matcher

# What a running host writes by itself, whatever anybody configures: logs, caches, the package manager's own books,
# the service manager's state, database servers' data, and the engine's working folders in the operator's home.
NOISE = (
    "/var/log/**",
    "/var/cache/**",
    "/var/lib/apt/**",
    "/var/lib/dpkg/**",
    # What dpkg-db-backup keeps of dpkg's books, once a day.
    "/var/backups/dpkg.*",
    "/var/backups/apt.*",
    "/var/backups/alternatives.*",
    "/var/lib/systemd/**",
    "/var/lib/private/**",
    "/var/lib/pam/seen",
    "/var/lib/ucf/**",
    "/var/lib/logrotate/status",
    "/var/lib/sudo/**",
    "/var/lib/chrony/**",
    "/var/lib/postgresql/**",
    "/var/lib/mysql/**",
    "/var/spool/cron/atjobs/**",
    "/var/tmp/**",
    "/tmp/**",
    "/run/**",
    "/etc/ld.so.cache",
    "/etc/.pwd.lock",
    "/home/admin/.ansible/**",
    "/root/.ansible/**",
    "/var/lib/medsec/guard/**",
)

Listing = dict[str, str]


def listing(upper: Path) -> Listing:
    """Return every path below the overlay's upper folder with a mark of its type, mode, owner and content.

    A path deleted from the base image is there as an overlay whiteout (a character device 0/0).
    """
    found: Listing = {}
    for folder, folders, files in os.walk(upper):
        for name in (*folders, *files):
            path = Path(folder, name)
            found["/" + str(path.relative_to(upper))] = _mark(path)
    return found


# What a virtual machine is asked instead: every file of its disk with mode, owner, size and time of change.
TELL = r"find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp \) -prune -o ! -type d -printf '%p\t%M %U:%G %s %T@ %l\n'"


def told(output: str) -> Listing:
    """Return the listing that `TELL` printed."""
    return dict(line.split("\t", 1) for line in output.splitlines() if "\t" in line)


def _mark(path: Path) -> str:
    state = path.lstat()
    owner = f"{stat.filemode(state.st_mode)} {state.st_uid}:{state.st_gid}"
    if stat.S_ISLNK(state.st_mode):
        return f"{owner} -> {path.readlink()}"
    if stat.S_ISREG(state.st_mode):
        return f"{owner} {hashlib.sha256(path.read_bytes()).hexdigest()}{_attributes(path)}"
    if stat.S_ISCHR(state.st_mode) and state.st_rdev == 0:
        return "absent"
    return f"{owner}{_attributes(path)}"


def _attributes(path: Path) -> str:
    """Return the extended attributes that are the host's own (ACLs, capabilities), not the overlay's."""
    names = [name for name in os.listxattr(path) if not name.startswith("trusted.overlay")]
    return "".join(f" {name}={os.getxattr(path, name).hex()}" for name in sorted(names))


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return the paths that are new, gone or different, noise and merely copied-up folders left out."""
    different = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    for path in list(different):
        # A folder appears in the upper layer as soon as something below it is written.
        if (
            path not in before
            and after[path].startswith("d")
            and any(other.startswith(path + "/") for other in after)
        ):
            different.discard(path)
    quiet = [matcher(pattern) for pattern in NOISE]
    return sorted(path for path in different if not any(regex.fullmatch(path) for regex in quiet))


def not_restored(before: Mapping[str, str], after: Mapping[str, str], image: Mapping[str, str]) -> dict[str, str]:
    """Return the paths that are not what they were, each with both marks: a restored file lies in the upper folder now, equal to the image's.

    `image` holds the marks of the paths in question as the base image has them, `absent` where it has none.
    """
    quiet = [matcher(pattern) for pattern in NOISE]
    return {
        path: f"{before.get(path, image[path])} -> {after.get(path, image[path])}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path, image[path]) != after.get(path, image[path])
        and not any(regex.fullmatch(path) for regex in quiet)
    }


def image_marks(paths: Iterable[str], layers: Sequence[Path]) -> Listing:
    """Return the marks of `paths` in an image of several layers, the topmost first."""
    return {path: _image_mark(path, layers) for path in paths}


def _image_mark(path: str, layers: Sequence[Path]) -> str:
    for layer in layers:
        place = layer / path.lstrip("/")
        if place.is_symlink() or place.exists():
            return _mark(place)
    return "absent"


def untold(paths: Iterable[str], touches: Touches, packaged: frozenset[str] = frozenset()) -> list[str]:
    """Return the changed paths that `touches` does not cover; `packaged` are files of packages it names."""
    allowed = [matcher(pattern) for pattern in _allowed(touches)]
    return [path for path in paths if path not in packaged and not any(regex.fullmatch(path) for regex in allowed)]


def _allowed(touches: Touches) -> Iterator[str]:
    yield from (*touches.files, *touches.records)
    for unit in touches.units:
        yield f"/etc/systemd/system/{unit}"
        yield f"/etc/systemd/system/**/{unit}"
        yield f"/etc/systemd/system/{unit}.d/**"
        # enabling a unit with a SysV twin sets its rc links
        yield f"/etc/rc?.d/???{unit.removesuffix('.service')}"
    for account in touches.accounts:
        yield f"/home/{account}/**"
    if touches.accounts:
        yield from ("/etc/passwd", "/etc/passwd-", "/etc/shadow", "/etc/shadow-", "/etc/group", "/etc/group-")
        yield from ("/etc/gshadow", "/etc/gshadow-", "/etc/subuid", "/etc/subuid-", "/etc/subgid", "/etc/subgid-")
