"""What there is of backups on a host: sets, ages, sizes, drills, the next run, the room left."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from medsec.backups.jobs import Job
from medsec.drills.record import KEPT
from medsec.errors import MedsecError, ProbeError
from medsec.inventory import Host
from medsec.judge.recording import ConnectedHost
from medsec.judge.ssh import SshTransport
from medsec.judge.transport import Limits
from medsec.probes.backups import artefacts, timer
from medsec.probes.drills import KeptDrill, drills
from medsec.text import Text, says

# How far a backup may seem to come from the future, in seconds: clocks differ.
_SKEW = 300
# $1 the folder of a job's sets. A set of pgBackRest's is small, and tells the bytes of its cluster in each restore point.
# A key in a manifest cannot be part of a table's name, in which JSON escapes its quotes.
_SETS = r"""
export LC_ALL=C
printf 'now\t%s\n' "$(date +%s)"
p=$1; while [ ! -e "$p" ]; do p=$(dirname -- "$p"); done
printf 'free\t%s\n' "$(df -P -B1 -- "$p" | awk 'NR == 2 {print $4}')"
for set in "$1"/2*Z; do
  [ -d "$set" ] || continue
  bytes=$({ find "$set" -type f -printf '%s\n'; sed -sn 4p "$set"/*/postgres.point 2> /dev/null; } | awk '{n += $1} END {printf "%.0f", n}')
  counts=$(find "$set" -name '*.manifest' -type f -exec cat {} + | sed -n '/"table" *:/s/.*"rows" *: *\([0-9]*\).*/\1/p' |
    awk '{n += $1} END {printf "%d\t%.0f", NR, n}')
  sums=$( (sha256sum < "$set/SHA256SUMS") 2> /dev/null | cut -d' ' -f1)
  printf 'set\t%s\t%s\t%s\t%s\t%s\n' "${set##*/}" "$bytes" "$counts" "$sums" "$(head -c 65536 "$set/record.json" 2> /dev/null | tr -d '\n\t')"
done
"""


@dataclass(frozen=True)
class BackupSet:
    """One backup: when it was begun (None where it does not tell), its bytes, what its manifests count.

    `sealed` is whether its record is whole and fits the list of its digests; a backup of the site's own job has neither.
    """

    name: str
    taken: datetime | None
    bytes: int
    tables: int | None
    rows: int | None
    sealed: bool | None

    def value(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "name": self.name,
            "taken": self.taken.isoformat() if self.taken else None,
            "bytes": self.bytes,
            "tables": self.tables,
            "rows": self.rows,
            "sealed": self.sealed,
        }


@dataclass(frozen=True)
class Copy:
    """A copy of a backup on another host, by the set's name, and when that backup was begun."""

    set: str
    taken: datetime


@dataclass(frozen=True)
class State:
    """What there is of one product's backups on one host, by the host's own clock."""

    job: Job
    now: datetime
    sets: list[BackupSet]
    free: int | None
    # When the timer fires next; None where it does not.
    next_run: datetime | None
    drill: KeptDrill | None
    # The newest copy that each keeper of the ledger holds (`medsec.backups.copies`); None where it holds none.
    copies: Mapping[str, Copy | None] = field(default_factory=dict)

    @property
    def last(self) -> BackupSet | None:
        """The newest backup that can be relied on as far as a look tells."""
        good = [found for found in self.sets if found.sealed is not False and found.taken and found.bytes]
        return max(good, key=lambda found: found.taken or self.now, default=None)

    @property
    def age(self) -> float | None:
        """What would be lost now, in seconds."""
        last = self.last
        return (self.now - last.taken).total_seconds() if last is not None and last.taken else None

    @property
    def overdue(self) -> bool:
        return self.age is None or not -_SKEW <= self.age <= self.job.rpo

    @property
    def places(self) -> list[str]:
        """The hosts that hold the newest good backup."""
        last = self.last
        if last is None:
            return []
        keepers = [name for name, copy in self.copies.items() if copy is not None and copy.set == last.name]
        return [self.job.host.name, *keepers]

    def value(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "host": self.job.host.name,
            "system": self.job.product,
            "last": self.last.value() if self.last else None,
            "age_seconds": self.age,
            "rpo_seconds": self.job.rpo,
            "overdue": self.overdue,
            "places": self.places,
            "copies": {
                name: {"name": copy.set, "taken": copy.taken.isoformat()} if copy else None
                for name, copy in self.copies.items()
            },
            "drill": {
                "finished": datetime.fromtimestamp(self.drill.finished, UTC).isoformat(),
                "outcome": self.drill.outcome,
                "believed": self.drill.problem is None,
            }
            if self.drill
            else None,
            "next_run": self.next_run.isoformat() if self.next_run else None,
            "free_bytes": self.free,
        }


@dataclass(frozen=True)
class Answer:
    """What one host answered, and why it did not tell the rest."""

    host: Host
    states: list[State] = field(default_factory=list)
    problems: list[Text] = field(default_factory=list)


def survey(work: Sequence[Sequence[Job]], forks: int = 10) -> Iterator[Answer]:
    """Yield what each host has of its jobs' backups, in their order; one that does not answer stops no other."""
    with ThreadPoolExecutor(max_workers=max(1, min(forks, len(work)))) as pool:
        yield from pool.map(_of_host, work)


def _of_host(of_host: Sequence[Job]) -> Answer:
    answer = Answer(of_host[0].host)
    try:
        connection = SshTransport(Limits(connect=10, command=120)).connect(answer.host)
        try:
            kept = drills(connection, KEPT, [job.drilled for job in of_host])
            for job in of_host:
                try:
                    answer.states.append(look(connection, job, kept[job.drilled].kept))
                except ProbeError as error:
                    answer.problems.append(named(answer.host, error))
        finally:
            connection.close()
    except MedsecError as error:
        answer.problems.append(named(answer.host, error))
    return answer


def look(host: ConnectedHost, job: Job, drilled: Sequence[KeptDrill] = ()) -> State:
    """Return what there is of the job's backups. Raises ProbeError and HostUnreachable."""
    # Of the product's drills those of this way of backing up; how a site's own job is drilled is its own matter.
    drill = next((one for one in reversed(drilled) if job.home is None or one.way == job.product), None)
    if job.timer is None:
        return State(job, datetime.now(UTC), [], None, None, drill)
    schedule = timer(host, job.timer)
    upcoming = _time(schedule.next_run) if schedule.active == "active" and schedule.next_run else None
    if job.home is None:
        files = artefacts(host, job.artefacts or "", 0)
        sets = [BackupSet(file.path, _time(file.written), file.bytes, None, None, None) for file in files]
        return State(job, _time(schedule.now), sets, None, upcoming, drill)
    answer = host.run(shlex.join(["sh", "-c", _SETS, "sh", job.home]))
    lines = [line.split("\t", 6) for line in answer.stdout.splitlines()]
    told = {line[0]: line[1] for line in lines if len(line) == 2}
    if answer.rc != 0 or not told.get("now", "").isdigit():
        raise ProbeError(
            says(
                en=f"{job.home} cannot be looked at: {answer.stderr.strip()[-300:] or f'exit code {answer.rc}'}",
                zh=f"无法查看 {job.home}：{answer.stderr.strip()[-300:] or f'退出码 {answer.rc}'}",
            )
        )
    sets = [_set(*line[1:]) for line in lines if line[0] == "set" and len(line) == 7]
    free = told.get("free", "")
    return State(job, _time(float(told["now"])), sets, int(free) if free.isdigit() else None, upcoming, drill)


def _set(name: str, size: str, tables: str, rows: str, sums: str, record: str) -> BackupSet:
    try:
        value = json.loads(record)
        taken = datetime.fromisoformat(value["started"])
        sealed = bool(sums) and value["sha256sums"] == sums
    except (ValueError, KeyError, TypeError):
        taken, sealed = None, False
    return BackupSet(name, taken, int(size), int(tables), int(rows), sealed)


def named(host: Host, error: MedsecError) -> Text:
    """Return the error's words, the host's name before them where they do not have it."""
    en, zh = error.in_language("en"), error.in_language("zh")
    if host.name in en:
        return says(en=en, zh=zh)
    return says(en=f"host {host.name}: {en}", zh=f"主机 {host.name}：{zh}")


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
