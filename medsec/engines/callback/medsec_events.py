"""Ansible callback: each task's result as one JSON line on a file descriptor, attributed to its control."""

from __future__ import annotations

import json
import os
import re
import resource
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: medsec_events
type: stdout
short_description: Machine-readable events of a medsec run
description:
  - Writes one JSON object a line to the file descriptor that C(MEDSEC_EVENTS_FD) names, and nothing to the screen.
"""

_HOME = re.compile(r"/controls/([a-z0-9_]+)/tasks\.yml$")
_LONGEST = 65536  # characters of one difference or message
# Ansible looks every millisecond whether a worker is done, which takes half of what it uses of a processor; it can be told
# another pace in ansible.cfg only, and that is the site's.
_LOOK_SECONDS = 0.02
# What a task may take of this machine beyond what it starts with, in bytes. Ansible keeps whatever a host prints.
_MOST = 128 * 1024 * 1024


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Tells medsec what happens."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "medsec_events"

    def __init__(self) -> None:
        super().__init__()
        constants.DEFAULT_INTERNAL_POLL_INTERVAL = _LOOK_SECONDS
        descriptor = int(os.environ["MEDSEC_EVENTS_FD"])
        os.set_inheritable(descriptor, False)  # ssh's master processes outlive the run and must not hold it open
        self._events = os.fdopen(descriptor, "w", encoding="utf-8")
        # Handlers are flushed after each control, so what a host does belongs to the control it entered last.
        self._entered: dict[str, str] = {}
        # A worker that runs out of it fails its task on its host, and nothing else. Mitogen's one multiplexer serves all hosts.
        if not constants.DEFAULT_STRATEGY.rpartition(".")[2].startswith("mitogen"):
            os.register_at_fork(after_in_child=_bound)

    def v2_playbook_on_include(self, included_file: Any) -> None:
        control = _control_of_path(included_file._filename)
        for host in included_file._hosts if control else ():
            self._entered[host.name] = str(control)
            self._tell({"type": "entered", "host": host.name, "control": control})

    def v2_runner_on_ok(self, result: Any) -> None:
        if result.task.action in {"include_tasks", "ansible.builtin.include_tasks"}:
            return
        status = "changed" if result.is_changed() else "ok"
        self._event(result, status, diff=self._diff(result) if status == "changed" else None)

    def v2_runner_on_skipped(self, result: Any) -> None:
        data = result.result
        decided = any(key in data for key in ("false_condition", "skip_reason", "skipped_reason"))
        if context.CLIARGS.get("check") and not decided and not data.get("results"):
            self._event(result, "unknown")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if ignore_errors or _rescued(result.task):
            self._event(result, "ok")
        else:
            self._event(result, "failed", message=_words(result.result))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._event(result, "unreachable", message=_words(result.result))

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._tell({"type": "end"})

    def _event(self, result: Any, status: str, *, diff: str | None = None, message: str | None = None) -> None:
        host = result.host.name
        control = _control_of(result.task) or self._entered.get(host)
        self._tell(
            {
                "type": "event",
                "host": host,
                "control": control,
                "task": result.task.name or result.task.action,
                "status": status,
                "diff": diff[:_LONGEST] if diff else None,
                "message": message[-_LONGEST:] if message else None,
            }
        )

    def _diff(self, result: Any) -> str | None:
        parts = [result.result, *_items(result.result)]
        found = [self._get_diff(_titled(part)) for part in parts if part.get("diff")]
        return "".join(found).strip() or None

    def _tell(self, message: dict[str, Any]) -> None:
        self._events.write(json.dumps(message, default=str) + "\n")
        self._events.flush()


def _bound() -> None:
    """Limit the memory of this process, a worker that has just begun."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + _MOST, hard))


def _titled(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a result's differences, titled by the file on the host.

    Ansible names the new content by where it was staged on this machine, which tells nobody anything and differs from
    host to host where the difference itself does not.
    """
    found = data["diff"] if isinstance(data["diff"], list) else [data["diff"]]
    titled = []
    for diff in found:
        if "after_header" in diff:
            path = diff.get("before_header") or data.get("invocation", {}).get("dest") or data.get("dest")
            diff = {**diff, "before_header": path or "", "after_header": path or ""}  # noqa: PLW2901
        titled.append(diff)
    return titled


def _control_of(task: Any) -> str | None:
    """Return the control below whose folder `task` or the task that included it stands."""
    while task is not None:
        control = _control_of_path(str(task.get_path() or "")) if hasattr(task, "get_path") else None
        if control:
            return control
        task = getattr(task, "_parent", None)
    return None


def _control_of_path(path: str) -> str | None:
    found = _HOME.search(re.sub(r":[0-9]+$", "", path))
    return found.group(1) if found else None


def _rescued(task: Any) -> bool:
    while task is not None:
        if getattr(task, "rescue", None):
            return True
        task = getattr(task, "_parent", None)
    return False


def _items(data: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for item in data.get("results") or [] if isinstance(item, dict)]


def _words(data: dict[str, Any]) -> str:
    """Return what a failed task said: its message, and the output that explains it."""
    failed = [item for item in _items(data) if item.get("failed")] or [data]
    failed += (data.get("failed_modules") or {}).values()  # of gathering facts
    words = []
    for part in failed:
        for key in ("msg", "reason", "stderr", "module_stderr", "module_stdout"):
            text = str(part.get(key) or "").strip()
            if text and text not in words:
                words.append(text)
    return "; ".join(words) or json.dumps(data, default=str)
