"""The pyinfra engine: pyinfra's API in a process of its own, since it needs gevent's patched standard library."""

from __future__ import annotations

import json
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from medsec.engines import pyinfra_logins
from medsec.engines.base import EngineError, EngineName, EngineResult, Event, OnEvent, Status, Work
from medsec.engines.child import child
from medsec.inventory import Host, effective
from medsec.text import Text, says

_START = "from gevent import monkey; monkey.patch_all(); from medsec.engines.pyinfra_run import main; main()"
# A silent engine is given this much longer than the longest command that it may run.
_PATIENCE = 120


class PyinfraEngine:
    """Changes hosts by pyinfra; works on hosts that have no Python."""

    name: EngineName = "pyinfra"

    def together(self) -> AbstractContextManager[None]:
        """See `medsec.engines.base.Engine.together`: a run of pyinfra keeps nothing for the next."""
        return nullcontext()

    def run(self, work: Work, on_event: OnEvent) -> EngineResult:
        """Run the remedies of `work` (see `medsec.engines.base.Engine.run`)."""
        work = work.trimmed()
        result = EngineResult.of(work)
        if not work.todo:
            return result
        job = json.dumps(_job(work)).encode()
        ended = False
        argv = [sys.executable, "-P", "-c", _START]
        with child(argv, env=_environment(), stdin=job) as process:
            for message in process.lines(silence=work.seconds_per_task + _PATIENCE):
                if message["type"] == "event":
                    event = _event(message)
                    _take(result, event)
                    on_event(event)
                elif message["type"] == "finished":
                    result.outcomes[message["host"], message["control"]].finished = True
                elif message["type"] == "end":
                    ended = True
            code = process.wait()
            if not ended or code != 0:
                words = process.last_words()
                raise EngineError(
                    says(
                        en=f"pyinfra stopped before it was done (exit code {code}): {words}",
                        zh=f"pyinfra 未完成即退出（退出码 {code}）：{words}",
                    )
                )
        return result


def _take(result: EngineResult, event: Event) -> None:
    if event.control is not None:
        result.outcomes[event.host, event.control].take(event)
    elif event.status in {Status.UNREACHABLE, Status.FAILED}:
        # What concerns the whole host concerns each of its controls that had not run to its end.
        result.unreachable[event.host] = event.message or event.status.value
        for (host, _), outcome in result.outcomes.items():
            if host == event.host and not outcome.finished and outcome.failed is None:
                outcome.failed = event.message or event.status.value


def _event(message: dict[str, Any]) -> Event:
    text = message["message"]
    if text is not None and message["message_zh"] is not None:
        text = Text(text, message["message_zh"])
    return Event(
        host=message["host"],
        control=message["control"],
        task=message["task"],
        status=Status(message["status"]),
        diff=message["diff"],
        message=text,
    )


def _environment() -> dict[str, str]:
    """Return the environment in which the child finds this very medsec."""
    home = str(Path(__file__).resolve().parents[2])
    paths = [home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def _job(work: Work) -> dict[str, Any]:
    return {
        "mode": work.mode,
        "forks": work.forks,
        "seconds_per_task": work.seconds_per_task,
        "seconds_to_connect": work.seconds_to_connect,
        "site_forks": dict(work.inventory.site_forks),
        "hosts": [_host(work, work.inventory.hosts[name]) for name in work.todo],
    }


def _host(work: Work, host: Host) -> dict[str, Any]:
    return {
        "name": host.name,
        "groups": host.groups,
        "login": pyinfra_logins.message(host.login),
        "work": [
            {
                "control": control.id,
                "home": str(control.home),
                "params": dict(effective(control, host, work.inventory.ledger)),
            }
            for control in work.ordered(host.name)
        ],
    }
