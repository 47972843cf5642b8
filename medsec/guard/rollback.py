"""Taking back what a run changed: the newest step first, and not over what somebody has edited since."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from medsec.errors import HostUnreachable, MedsecError, UsageError
from medsec.guard.journal import JOURNAL, Entry, Journal, read_journal
from medsec.guard.session import GuardError, Session
from medsec.guard.settings import settings
from medsec.inventory import Inventory
from medsec.text import Text, says

# Steps in these states have changed something that is still there.
_STANDING = frozenset({"saved", "recorded", "confirmed"})


@dataclass(frozen=True)
class Rolled:
    """What became of one host: the controls taken back, or why they were not."""

    host: str
    controls: tuple[str, ...]
    problem: Text | None = None
    diff: str = ""


def rollback(
    inventory: Inventory,
    folder: Path,
    *,
    hosts: Iterable[str] | None = None,
    controls: Sequence[str] = (),
    force: bool = False,
    forks: int = 10,
    on_host: Callable[[Rolled], None] = lambda rolled: None,
) -> list[Rolled]:
    """Take back, on each host, what the run in `folder` changed; return what became of each.

    + hosts: names of the hosts, all that the run changed if None
    + controls: only what these changed, everything if empty
    + force: also over files that were edited since
    + on_host: called as each host is done

    A host where any file was edited since, or where another control changed the same file in the same step, is left
    wholly alone unless `force`. Raises UsageError where the run changed nothing, or none of what was asked for.
    """
    standing = _standing(read_journal(folder))
    asked = list(hosts) if hosts is not None else list(standing)
    todo = {host: _chosen(standing.get(host, []), controls) for host in asked}
    todo = {host: steps for host, steps in todo.items() if steps}
    if not todo:
        raise UsageError(
            says(
                en=f"{folder}: nothing of what was asked for is still changed by this run; `medsec runs show {folder.name}` lists its changes",
                zh=f"{folder}：所选范围内没有该次运行尚未回退的改动；`medsec runs show {folder.name}` 可列出其改动",
            )
        )
    journal = Journal(folder / JOURNAL)

    def one(host: str) -> Rolled:
        rolled = _host(inventory, folder.name, host, todo[host], force=force, journal=journal)
        on_host(rolled)
        return rolled

    with ThreadPoolExecutor(max_workers=min(forks, len(todo))) as pool:
        return list(pool.map(one, todo))


def _standing(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """The last word on each step of each host, where it has changed something."""
    last: dict[tuple[str, str], Entry] = {}
    gone: dict[tuple[str, str], set[str]] = {}
    for entry in entries:
        key = (entry.host, entry.step)
        if entry.state == "rolled-back":
            gone.setdefault(key, set()).update(entry.controls)
        else:
            last[key] = entry
    found: dict[str, list[Entry]] = {}
    for (host, step), entry in last.items():
        left = [control for control in entry.controls if control not in gone.get((host, step), set())]
        if entry.state in _STANDING and left:
            found.setdefault(host, []).append(Entry(host, step, entry.state, left, entry.engine, entry.changes))
    return found


def _chosen(steps: list[Entry], controls: Sequence[str]) -> list[tuple[Entry, list[str]]]:
    """The steps to take back with the controls in each, the newest first."""
    chosen = []
    for entry in sorted(steps, key=lambda entry: entry.step, reverse=True):
        wanted = [control for control in entry.controls if not controls or control in controls]
        if wanted:
            chosen.append((entry, wanted))
    return chosen


def _host(
    inventory: Inventory,
    run: str,
    name: str,
    steps: list[tuple[Entry, list[str]]],
    *,
    force: bool,
    journal: Journal,
) -> Rolled:
    host = inventory.hosts.get(name)
    controls = tuple(control for _, wanted in steps for control in wanted)
    if host is None:
        return Rolled(name, controls, _unknown(inventory, name))
    try:
        with Session(host, run, keep=settings(host).keep) as session:
            there = {step.number: step for step in session.steps()}
            for entry, _ in steps:
                if entry.step not in there:
                    return Rolled(name, controls, _no_copy(name, entry))
                if there[entry.step].state == "saved":
                    session.record(entry.step)  # the controller did not live to do it
            if not force:
                problem, diff = _objection(session, name, steps)
                if problem is not None:
                    return Rolled(name, controls, problem, diff)
            for entry, wanted in steps:
                session.rollback(entry.step, wanted)
                journal.add(Entry(name, entry.step, "rolled-back", wanted, entry.engine))
    except (HostUnreachable, GuardError, UsageError) as error:
        return Rolled(name, controls, _text(error))
    return Rolled(name, controls)


def _objection(session: Session, host: str, steps: list[tuple[Entry, list[str]]]) -> tuple[Text | None, str]:
    """What stands against taking the steps back. What a newer step of the same rollback gives back is no edit."""
    returned: set[str] = set()
    for entry, wanted in steps:
        others = sorted({control for control in entry.controls if control not in wanted})
        mine = {change.what for change in entry.changes if change.control in wanted}
        shared = sorted({change.what for change in entry.changes if change.control in others} & mine)
        if shared:
            return _shared(host, shared, others), ""
        edited, diff = session.edited(entry.step, wanted)
        edited = [path for path in edited if path not in returned]
        if edited:
            return _edited(host, edited), diff
        returned |= mine
    return None, ""


def _shared(host: str, paths: list[str], others: list[str]) -> Text:
    return says(
        en=f"host {host}: {', '.join(paths)} was changed by {', '.join(others)} as well; take these back together, or --force",
        zh=f"主机 {host}：{'、'.join(paths)} 同时由 {'、'.join(others)} 改动；请一并回退，或使用 --force",
    )


def _edited(host: str, paths: list[str]) -> Text:
    return says(
        en=f"host {host}: edited since the run: {', '.join(paths)}; nothing was taken back. "
        "Look at the difference; --force takes these edits back too",
        zh=f"主机 {host}：以下文件在整改后又被修改：{'、'.join(paths)}；未作回退。请核对差异；--force 将连同这些修改一并回退",
    )


def _no_copy(host: str, entry: Entry) -> Text:
    return says(
        en=f"host {host}: the copies of step {entry.step} are no longer on the host; raise medsec_guard_keep for the future",
        zh=f"主机 {host}：步骤 {entry.step} 的备份已不在主机上；今后可调大 medsec_guard_keep",
    )


def _unknown(inventory: Inventory, host: str) -> Text:
    return says(en=f"host {host} is not in {inventory.path} any more", zh=f"{inventory.path} 中已没有主机 {host}")


def _text(error: MedsecError) -> Text:
    return says(en=error.in_language("en"), zh=error.in_language("zh"))
