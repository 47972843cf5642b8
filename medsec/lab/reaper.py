"""Taking away what labs leave behind when the processes that kept them are killed."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from medsec.lab import cgroups, images, machine, network
from medsec.lab.cgroups import Group
from medsec.lab.place import lock_of

_LAB = re.compile(r"^(?P<name>[a-z][a-z0-9-]*)-(?P<index>\d+)$")


def clear(index: int) -> list[str]:
    """Take away all of lab `index`, whoever made it and whatever is left of it; return what was there.

    The caller holds the lock of the index.
    """
    found = []
    for lab in _labs(index):
        for host in cgroups.labs_present().get(lab, []):
            Group(lab, host).kill()
            found.append(f"{lab}/{host}")
        cgroups.forget(lab)
        for folder in (machine.NOTES / lab, machine.DISKS / lab):
            if folder.is_dir():
                shutil.rmtree(folder)
                found.append(str(folder))
    if index in network.indexes_present():
        network.remove(index)
        found.append(f"ms{index}")
    return found


def reap(indexes: Iterable[int] | None = None) -> list[str]:
    """Take away what is left of crashed labs and return its names.

    That is: labs whose owner is gone, hosts whose launcher was killed, and networks, control groups and disks of labs whose
    notes are gone. With `indexes`, all of those labs, alive or not. A lab that somebody is just starting is left alone.
    """
    machine.require()
    if indexes is not None:
        found = []
        for index in indexes:
            with machine.locked(lock_of(index)):
                found += clear(index)
        return found
    found = images.remove_halves()
    for index in sorted(_indexes()):
        with machine.locked(lock_of(index), wait=False) as lock:
            if lock is not None:
                found += _reap_index(index)
    return found


def _reap_index(index: int) -> list[str]:
    if not any(_kept(machine.NOTES / lab / "lab.json") for lab in _labs(index)):
        return clear(index)
    found = []
    for lab in _labs(index):
        for host in cgroups.labs_present().get(lab, []):
            group = Group(lab, host)
            if not (group.kept() or _kept_a_moment_later(group)):
                group.kill()
                found.append(f"{lab}/{host}")
    return found


def _kept_a_moment_later(group: Group) -> bool:
    # A process that is just becoming another program has no name for an instant.
    time.sleep(0.05)
    return group.kept()


def _kept(notes: Path) -> bool:
    """Tell whether the notes of a lab are there and its owner, where it has one, is alive."""
    try:
        owner = json.loads(notes.read_text(encoding="utf-8"))["owner"]
    except (OSError, ValueError, KeyError):
        return False
    return owner is None or machine.process_born(owner[0]) == owner[1]


def _labs(index: int) -> list[str]:
    return [lab for lab in _names() if (match := _LAB.match(lab)) and int(match["index"]) == index]


def _indexes() -> set[int]:
    return network.indexes_present() | {int(match["index"]) for lab in _names() if (match := _LAB.match(lab))}


def _names() -> list[str]:
    names = set(cgroups.labs_present())
    for top in (machine.NOTES, machine.DISKS):
        names |= {entry.name for entry in top.iterdir() if entry.is_dir()} if top.is_dir() else set()
    return sorted(names)
