"""What auditing costs a PostgreSQL server, and what a restore drill costs beside the bare restore.

    python -m tests.bench.database_bench >> docs/benchmarks.md

Levels of auditing are set in turn on one server, so that what else the machine does meets all of them alike.
"""

from __future__ import annotations

import os
import re
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from medsec.catalogue.controls import Controls, load_controls
from medsec.drills.engines import ENGINES
from medsec.drills.record import Outcome
from medsec.drills.restore import drill_restore
from medsec.lab import Lab, LabHost
from medsec.resources import root
from tests.database_site import installing, site
from tests.lab.conftest import leased_index

# pgbench: about 15 MB a unit. Rounds of each level and of each way to restore.
SMALL, LARGE = 5, 68
SECONDS, ROUNDS, RESTORES = 15, 3, 2
LEVELS = {
    "no auditing": "none",
    "structure and privileges (ddl, role)": "ddl, role",
    "and changes of data (write): medsec's default": "ddl, role, write",
    "and queries (read)": "ddl, role, write, read",
    "everything (all)": "all",
}
LOADS = {"changes and queries (TPC-B)": "", "queries alone (-S)": "-S"}
AUDITED = r"""
set -eu
printf '%s\n' "shared_preload_libraries = 'pgaudit'" 'logging_collector = on' "pgaudit.log_catalog = off" \
  > /etc/postgresql/15/main/conf.d/bench.conf
systemctl restart postgresql@15-main
cd /
runuser -u postgres -- createdb audited
runuser -u postgres -- psql -q -d audited -c 'CREATE EXTENSION pgaudit'
"""
# What an administrator would type: a scratch cluster, and the same dumps by pg_restore.
BARE = r"""
set -eu
export PATH=/usr/lib/postgresql/15/bin:$PATH
cd /
bare=$(mktemp -d -p /var/tmp)
chown postgres: "$bare"
as() { runuser -u postgres -- "$@"; }
as initdb -N -k -D "$bare/data" -A peer -E UTF8 --locale=C > /dev/null
as pg_ctl -D "$bare/data" -w -o "-c listen_addresses= -c unix_socket_directories=$bare -c wal_level=minimal -c max_wal_senders=0" -l "$bare/log" start > /dev/null
set=$(ls -d /var/backups/medsec/postgresql/2*/15-main | tail -n 1)
grep -vx 'CREATE ROLE postgres;' "$set/globals.sql" | as psql -qX -h "$bare" > /dev/null
for dump in "$set"/*.dump; do as pg_restore -h "$bare" -d template1 -C -c --if-exists --exit-on-error < "$dump"; done
as pg_ctl -D "$bare/data" -w -m fast stop > /dev/null
rm -rf "$bare"
"""


def _root(host: LabHost, script: str) -> str:
    done = host.run_as_root(script, timeout=1800)
    if done.returncode != 0:
        raise RuntimeError(f"{script}\nended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def _postgres(host: LabHost, *command: str) -> str:
    return _root(host, f"cd / && runuser -u postgres -- {shlex.join(command)} 2>&1")


def _transactions(host: LabHost, level: str, load: str) -> float:
    for setting in (f"ALTER SYSTEM SET pgaudit.log = '{level}'", "SELECT pg_reload_conf()"):
        _postgres(host, "psql", "-qXc", setting)
    said = _postgres(host, "pgbench", "-n", "-c4", "-j2", f"-T{SECONDS}", *load.split(), "audited")
    if (found := re.search(r"^tps = ([0-9.]+)", said, re.MULTILINE)) is None:
        raise RuntimeError(f"pgbench told no tps: {said}")
    return float(found[1])


def auditing(host: LabHost) -> str:
    """Return the chapter on what each level of auditing costs."""
    _root(host, AUDITED)
    _postgres(host, "pgbench", "-iq", f"-s{SMALL}", "audited")
    rates: dict[tuple[str, str], list[float]] = {(level, load): [] for level in LEVELS for load in LOADS}
    for _ in range(ROUNDS):
        for (level, load), found in rates.items():
            found.append(_transactions(host, LEVELS[level], LOADS[load]))
            print(level, load, found[-1], file=sys.stderr, flush=True)
    middle = {key: statistics.median(found) for key, found in rates.items()}
    lines = [
        "## What auditing costs PostgreSQL",
        "",
        f"pgbench, 4 clients, {SECONDS} s, {ROUNDS} runs of each level in turn on one lab host; transactions in a second beside those",
        "without auditing. pgbench does nothing but statements: a hospital's own load feels less of it.",
        "",
        "每级审计对应的每秒事务数，与不审计时之比（pgbench，各级交替运行，取中位数）。",
        "",
        "| audited | " + " | ".join(LOADS) + " |",
        "|---|" + "---|" * len(LOADS),
    ]
    for level in LEVELS:
        shares = (middle[level, load] / middle["no auditing", load] for load in LOADS)
        lines.append(f"| {level} | " + " | ".join(f"{share:.2f}" for share in shares) + " |")
    return "\n".join(lines) + "\n"


def drilling(lab: Lab, host: LabHost, controls: Controls, folder: Path) -> str:
    """Return the chapter on what a drill of a database of one gigabyte costs."""
    _root(host, installing(controls))
    _postgres(host, "createdb", "bench")
    _postgres(host, "pgbench", "-iq", f"-s{LARGE}", "bench")
    size = int(_postgres(host, "psql", "-XAtc", "SELECT pg_database_size('bench')")) / 2**30
    made = _timed(lambda: _root(host, "medsec-database-backup run postgresql"))
    inventory = site(lab, [host], folder)

    def drill() -> None:
        proved, _ = drill_restore(
            inventory, controls, inventory.hosts[host.name], ENGINES["postgresql"], site=folder
        )
        if proved.outcome is not Outcome.PASSED:
            raise RuntimeError(f"the drill did not pass: {[reason.en for reason in proved.reasons()]}")
        print({step.id: round(step.seconds, 1) for step in proved.steps}, file=sys.stderr, flush=True)

    ways = {"initdb and pg_restore, by hand": lambda: _root(host, BARE), "medsec drill restore": drill}
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(RESTORES):
        for name, way in ways.items():
            found[name].append(_timed(way))
            print(name, found[name][-1], file=sys.stderr, flush=True)
    seconds = {name: statistics.median(runs) for name, runs in found.items()}
    least = next(iter(seconds.values()))
    lines = [
        "## A restore drill beside the bare restore",
        "",
        f"A PostgreSQL database of {size:.1f} GiB, backed up in {made:.0f} s, restored {RESTORES} times each way in turn on its own host. The",
        "drill also checks digests, compares rows and contents of each table with the manifest, and runs amcheck and pg_checksums.",
        "",
        "演练与单纯恢复的用时之比；演练还核对校验值、逐表比对行数与内容，并运行完整性工具。",
        "",
        "| | × bare restore | s |",
        "|---|---|---|",
        *(f"| {name} | {taken / least:.2f} | {taken:.0f} |" for name, taken in seconds.items()),
    ]
    return "\n".join(lines) + "\n"


def _timed(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def main() -> None:
    """Print the chapters."""
    with (
        leased_index() as index,
        Lab("bench", index, owner=os.getpid()) as lab,
        TemporaryDirectory(dir="/tmp") as name,
    ):
        host = lab.add_host("measured", kind="db", layer="db")
        _root(host, "systemctl is-system-running --wait > /dev/null; true")
        drilled = drilling(lab, host, load_controls(root() / "roles"), Path(name))
        sys.stdout.write(f"{auditing(host)}\n{drilled}")


if __name__ == "__main__":
    main()
