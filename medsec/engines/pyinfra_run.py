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
from pathlib import Path
from typing import IO, Any

import gevent
from gevent.pool import Pool

from medsec.engines import pyinfra_commands
from medsec.engines.child import EVENTS_FD
from medsec.engines.pyinfra_host import HostRun
from medsec.engines.pyinfra_log import HostLog
from medsec.engines.pyinfra_state import job_state


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
        pool = Pool(job["forks"])
        runs = [
            pool.spawn(HostRun(state, host, index=index, log=log, tell=tell).run, spec)
            for index, (host, spec) in enumerate(zip(state.inventory, job["hosts"], strict=True))
        ]
        gevent.joinall(runs, raise_error=True)
