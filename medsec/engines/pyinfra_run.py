"""What runs inside the pyinfra engine's process: hosts side by side, and on each host one control after another.

Each operation is executed at the moment when the deploy calls it, so that it decides from what earlier operations
left behind. In a plan nothing is executed: an operation is asked whether it would change something, and later
operations that depend on it (`_if=other.did_change`) see that prediction.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any

import gevent

from medsec.engines import pyinfra_commands
from medsec.engines.child import EVENTS_FD
from medsec.engines.pyinfra_host import HostRun
from medsec.engines.pyinfra_log import HostLog
from medsec.engines.pyinfra_state import job_state
from medsec.fleet.schedule import Schedule


def main() -> None:
    """Do the job given on stdin and tell what happens on the events' file descriptor."""
    job = json.load(sys.stdin)
    pyinfra_commands.install()
    with os.fdopen(int(os.environ[EVENTS_FD]), "w", encoding="utf-8") as events:
        _run(job, events)
        events.write(json.dumps({"type": "end"}) + "\n")


def _run(job: dict[str, Any], events: IO[str]) -> None:
    def tell(message: dict[str, Any]) -> None:
        events.write(json.dumps(message) + "\n")
        events.flush()

    log = HostLog.install()
    with tempfile.TemporaryDirectory(prefix="medsec-") as folder:
        state = job_state(job, Path(folder))
        runs = [
            (partial(HostRun(state, host, index=index, log=log, tell=tell).run, spec), spec["groups"])
            for index, (host, spec) in enumerate(zip(state.inventory, job["hosts"], strict=True))
        ]
        schedule = Schedule(runs, job["site_forks"])
        workers = [gevent.spawn(_work, schedule) for _ in range(min(job["forks"], len(runs)))]
        gevent.joinall(workers, raise_error=True)


def _work(schedule: Schedule[Callable[[], None]]) -> None:
    for turn in schedule.turns():
        # A greenlet of its own: pyinfra keeps in it which host is meant.
        gevent.spawn(turn.job).get()
