"""Copies of backups: what a database server's account for them may do, and what the host that keeps them has."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import says

ACCOUNT = "medsec-copies"

# What the account is, what sudo lets it run, and what comes of asking for a list, a set, another file, a shell. As sshd
# does it: by the account's shell, what was asked for in SSH_ORIGINAL_COMMAND. Group 50 is Debian's staff, who install what is in
# /usr/local, where older releases let them.
_ACCOUNT = r"""
export LC_ALL=C
for tool in find getent readlink runuser sudo; do command -v $tool > /dev/null || { echo "$tool is missing" >&2; exit 3; }; done
u=medsec-copies
e=$(getent passwd $u) || { echo absent; exit; }
IFS=:
set -- $e
unset IFS
echo "uid=$3"; echo "home=$6"; echo "shell=$7"
echo "groups=$(id -Gn $u)"
p=$(getent shadow $u | cut -d: -f2); case $p in [*!]*) echo locked=yes ;; *) echo locked=no ;; esac
sudo -n -l -U $u | sed -n 's/^    (/sudo=(/p'
for f in "$(readlink -f PROGRAM)" "$6" "$6/.ssh"; do
  while :; do
    [ -z "$(find "$f" -maxdepth 0 ! -type l \( ! -user 0 -o -perm /002 -o -perm /020 ! -gid 0 ! -gid 50 \))" ] || echo "loose=$f"
    [ "$f" != / ] || break
    f=$(dirname "$f")
  done
done
as() { runuser -u $u -- env SSH_ORIGINAL_COMMAND="$1" PROGRAM 2> /dev/null < /dev/null | tr -c '[:alnum:] \n' . | head -c 2000 | sed "s/^/$2=/"; }
as list offered
as 'send ../../etc shadow' leak
as 'send postgresql ../../../etc' leak
as 'list; id' leak
as 'sh -c id' leak
as '--help' leak
"""


@dataclass(frozen=True)
class Account:
    """The account to which backups are offered."""

    home: str
    uid: int
    groups: tuple[str, ...]
    locked: bool
    # What sudo lets it run, as `sudo -l` words it.
    sudo: tuple[str, ...]
    # Files and folders on the way to its program and keys that others than root may write.
    loose: tuple[str, ...]
    # Products of which it reads a sealed set, and the first of what came of questions that are to be refused.
    offered: tuple[str, ...]
    leak: str | None


def account(host: Host, program: str) -> Account | None:
    """Return the account, or None where there is none. Raises ProbeError where the host does not tell."""
    answer = host.run(_ACCOUNT.replace("PROGRAM", shlex.quote(program)), once=True)
    lines = answer.stdout.splitlines()
    if lines == ["absent"]:
        return None
    told: dict[str, list[str]] = {}
    for name, _, value in (line.partition("=") for line in lines):
        told.setdefault(name, []).append(value)
    if answer.rc != 0 or not all(name in told for name in ("uid", "home", "groups", "locked")):
        said = answer.stderr.strip()[-300:] or f"exit code {answer.rc}"
        raise ProbeError(
            says(en=f"the host does not tell of {ACCOUNT}: {said}", zh=f"无法查询账户 {ACCOUNT}：{said}")
        )
    return Account(
        home=told["home"][0],
        uid=int(told["uid"][0]),
        groups=tuple(told["groups"][0].split()),
        locked=told["locked"] == ["yes"],
        sudo=tuple(told.get("sudo", ())),
        loose=tuple(dict.fromkeys(told.get("loose", ()))),
        offered=tuple(line.split()[0] for line in told.get("offered", ()) if len(line.split()) == 3),
        leak=next(iter(told.get("leak", ())), None),
    )


def keys(host: Host, patterns: Sequence[str], home: str) -> list[str]:
    """Return the lines of the files in which sshd looks for the account's keys (`authorizedkeysfile`), comments left out."""
    paths = [
        path if path.startswith("/") else f"{home}/{path}"
        for pattern in patterns
        for path in [pattern.replace("%h", home).replace("%u", ACCOUNT).replace("%%", "%")]
        if path != "none"
    ]
    answer = host.run("for f in " + shlex.join(paths) + '; do [ ! -e "$f" ] || cat -- "$f" || exit 1; done')
    if answer.rc != 0:
        raise ProbeError(
            says(
                en=f"the keys of {ACCOUNT} cannot be read: {answer.stderr.strip()[-300:]}",
                zh=f"无法读取账户 {ACCOUNT} 的公钥：{answer.stderr.strip()[-300:]}",
            )
        )
    return [line.strip() for line in answer.stdout.splitlines() if line.strip() and not line.startswith("#")]


# $1 the folder of the copies, $2 that of the settings.
_KEEPER = r"""
export LC_ALL=C RESTIC_REPOSITORY="$1/repository" RESTIC_PASSWORD_FILE="$2/password"
for tool in cut find stat; do command -v $tool > /dev/null || { echo "$tool is missing" >&2; exit 3; }; done
echo "now=$(date +%s)"
for f in "$1" "$RESTIC_REPOSITORY" "$2" "$2/password" "$2/id_ed25519"; do
  echo "entry=$(stat -c '%u %a %Y' -- "$f" 2> /dev/null || echo - - -) $f"
done
for f in "$1" "$2"; do
  while [ "$f" != / ]; do
    f=$(dirname "$f")
    [ -z "$(find "$f" -maxdepth 0 \( ! -user 0 -o -perm /022 \))" ] || echo "loose=$f"
  done
done
echo "filesystem=$(stat -f -c %T -- "$1" 2> /dev/null)"
echo "checked=$(stat -c %Y -- "$1/checked" 2> /dev/null || echo 0)"
[ ! -e "$1/damaged" ] || echo damaged=yes
sed 's/^/known=/' "$2/known_hosts" 2> /dev/null
cut -d' ' -f1,2 /etc/ssh/ssh_host_*_key.pub 2> /dev/null | sed 's/^/own=/'
[ -e "$RESTIC_REPOSITORY/config" ] || exit 0
if ! command -v restic > /dev/null; then echo "unread=restic is not installed"
elif s=$(restic --no-cache --no-lock -q snapshots --json 2>&1); then echo "snapshots=$s"; else echo "unread=$(echo "$s" | tail -n 1)"; fi
"""


@dataclass(frozen=True)
class Entry:
    """A file or folder: owner and mode in bits, when it was written in seconds since 1970."""

    path: str
    owner: int
    mode: int
    written: float


@dataclass(frozen=True)
class Snapshot:
    """One copy in the repository, by its own listing; `started` is when its backup was begun, 0 where that is not told."""

    id: str
    host: str
    product: str
    set: str
    digest: str
    started: float


@dataclass(frozen=True)
class Keeper:
    """What the host that keeps copies has; entries are None where nothing is there."""

    now: float
    entries: dict[str, Entry | None]
    loose: tuple[str, ...]
    filesystem: str
    checked: float
    damaged: bool
    known: tuple[str, ...]
    own: tuple[str, ...]
    # None where there is no repository; `unread` says why it cannot be read.
    snapshots: tuple[Snapshot, ...] | None
    unread: str | None


def keeper(host: Host, directory: str, settings: str) -> Keeper:
    """Return what the host has of copies. Raises ProbeError where it does not tell."""
    answer = host.run(shlex.join(["sh", "-c", _KEEPER, "sh", directory, settings]))
    told: dict[str, list[str]] = {}
    for name, _, value in (line.partition("=") for line in answer.stdout.splitlines()):
        told.setdefault(name, []).append(value)
    if answer.rc != 0 or "now" not in told or len(told.get("entry", ())) != 5 or "own" not in told:
        said = answer.stderr.strip()[-300:] or f"exit code {answer.rc}, no host key in /etc/ssh or no whole answer"
        raise ProbeError(
            says(en=f"the host does not tell of its copies: {said}", zh=f"无法查询本机的备份副本：{said}")
        )
    return Keeper(
        now=float(told["now"][0]),
        entries=dict(map(_entry, told["entry"])),
        loose=tuple(dict.fromkeys(told.get("loose", ()))),
        filesystem=told["filesystem"][0],
        checked=float(told["checked"][0]),
        damaged="damaged" in told,
        known=tuple(told.get("known", ())),
        own=tuple(told.get("own", ())),
        snapshots=snapshots(told["snapshots"][0]) if "snapshots" in told else None,
        unread=told["unread"][0] if "unread" in told else None,
    )


def _entry(line: str) -> tuple[str, Entry | None]:
    owner, mode, written, path = line.split(" ", 3)
    return path, None if owner == "-" else Entry(path, int(owner), int(mode, 8), float(written))


def snapshots(text: str) -> tuple[Snapshot, ...]:
    """Return the copies among what `restic snapshots --json` lists. Raises ProbeError for anything else."""
    try:
        return tuple(found for value in json.loads(text) or () if (found := _snapshot(value)) is not None)
    except (ValueError, KeyError, TypeError) as error:
        raise ProbeError(
            says(en=f"restic lists what cannot be read: {error}", zh=f"restic 的列表无法解析：{error}")
        ) from error


def _snapshot(value: dict[str, Any]) -> Snapshot | None:
    """Return None for one that something else than the program of the copies made."""
    tags = list(value.get("tags") or ())
    if len(tags) != 4 or not re.fullmatch(r"started=\d+", tags[3]):
        return None
    product, name, digest, started = tags
    return Snapshot(value["id"], value["hostname"], product, name, digest, float(started.partition("=")[2]))


# Arguments: id and name of a set, in turns.
_SEALS = r"""
export LC_ALL=C RESTIC_REPOSITORY="$1/repository" RESTIC_PASSWORD_FILE="$2/password"
shift 2
while [ $# -gt 0 ]; do
  r=$(restic --no-cache --no-lock -q dump "$1" "/$2/record.json" 2> /dev/null | tr -d '\n' | head -c 4096)
  echo "$1 $(restic --no-cache --no-lock -q dump "$1" "/$2/SHA256SUMS" 2> /dev/null | sha256sum | cut -d' ' -f1) $r"
  shift 2
done
"""


@dataclass(frozen=True)
class Seal:
    """What a copy itself holds: the digest of its list of digests, and its record (empty where it cannot be read)."""

    digest: str
    record: dict[str, Any]


def seals(host: Host, directory: str, settings: str, snapshots: Sequence[Snapshot]) -> dict[str, Seal]:
    """Return the seal of each of `snapshots`, read out of the repository, by its id."""
    words = [word for one in snapshots for word in (one.id, one.set)]
    answer = host.run(shlex.join(["sh", "-c", _SEALS, "sh", directory, settings, *words]))
    lines = [line.split(" ", 2) for line in answer.stdout.splitlines()]
    if answer.rc != 0 or [line[0] for line in lines] != [one.id for one in snapshots]:
        raise ProbeError(
            says(
                en=f"the copies cannot be read: {answer.stderr.strip()[-300:]}",
                zh=f"无法读取副本：{answer.stderr.strip()[-300:]}",
            )
        )
    return {line[0]: Seal(line[1], _object(line[2])) for line in lines}


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
