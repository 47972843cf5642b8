"""What the fault tests share: controls that do harm, a watch on the way in, and the record of how long it was shut."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medsec.catalogue.controls import Control, Controls
from medsec.engines.base import Event
from medsec.engines.planning import Applied, Selection, apply
from medsec.engines.registry import engine
from medsec.guard.guarding import HostGuard
from medsec.inventory import Inventory, load_inventory
from medsec.judge.judge import judge
from medsec.lab import Lab, LabHost
from medsec.trials import overlay
from tests import engine_site as site

# A host must be reachable again by itself within this time, in seconds.
LONGEST = 120
# How long a login may take, in seconds, and still count as one.
PATIENCE = 10
MARK = "/etc/medsec-fault-test"

_TASKS = """\
---
- name: Do what the control says
  ansible.builtin.shell: "{{ %(id)s_text }}"
  changed_when: true
"""
_DEPLOY = """\
from pyinfra.operations import server

from medsec.inventory import Params


def deploy(params: Params) -> None:
    server.shell(name="Do what the control says", commands=[params.text])
"""
_CHECK = f"""\
def check(host, params):
    assert host.run("test -e {MARK}").rc == 0, "the mark is missing"
"""


def control(roles: Path, harm: str, files: list[str], units: list[str], risk: str = "access") -> Control:
    """Write a control whose remedy leaves its mark and then does `harm`."""
    made = site.make_control(
        roles,
        "a_fault",
        tasks=_TASKS,
        deploy=_DEPLOY,
        path=MARK,
        risk=risk,
        touches={"files": [*files, MARK], "units": units},
    )
    (made.home / "check.py").write_text(_CHECK, encoding="utf-8")
    text = made.home / "control.yml"
    text.write_text(text.read_text(encoding="utf-8").replace("as wanted\\n", "@HARM@"), encoding="utf-8")
    value = made.model_dump()
    value["parameters"]["text"]["default"] = f"touch {MARK}; {harm}"
    return Control.model_validate(value)


def inventory(lab: Lab, hosts: LabHost | Sequence[LabHost], folder: Path, **variables: Any) -> Inventory:
    """Write and load a site with just these hosts."""
    options = f"-o UserKnownHostsFile={lab.known_hosts_path} -o StrictHostKeyChecking=yes"
    logins = {
        host.name: {
            "ansible_host": host.address,
            "ansible_user": host.user,
            "ansible_become": True,
            "ansible_ssh_private_key_file": str(lab.identity_path),
            "ansible_ssh_common_args": options,
        }
        for host in ([hosts] if isinstance(hosts, LabHost) else hosts)
    }
    return load_inventory(site.make_site(folder, logins, **variables))


@dataclass
class Watch:
    """Tries the way in again and again: a fresh login and root's rights, as an operator would."""

    lab: Lab
    host: LabHost
    tries: list[tuple[float, bool]] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._ended.wait(0.5):
            self.tries.append((time.monotonic(), self.open()))

    def open(self) -> bool:
        # A login that was under way when the door was shut would wait behind it, and succeed when it opens again.
        try:
            done = subprocess.run(
                ["ssh", "-F", str(self.lab.ssh_config_path), "-o", "BatchMode=yes", "-o", "ConnectTimeout=3", "-o", "ControlPath=none",
                 self.host.name, "sudo -n true"],
                capture_output=True, timeout=PATIENCE, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    @property
    def shut(self) -> float:
        """The longest time for which nobody got in, in seconds; from the last success to the first after it."""
        longest, last = 0.0, self.tries[0][0]
        for at, inside in self.tries:
            if inside:
                longest, last = max(longest, at - last), at
        return max(longest, self.tries[-1][0] - last)


@contextmanager
def watched(lab: Lab, host: LabHost) -> Iterator[Watch]:
    """Watch the way in while something goes wrong, and on until people get in again (or 180 s have passed)."""
    watch = Watch(lab, host)
    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    try:
        yield watch
        until = time.monotonic() + 180
        settled = 0
        while settled < 3 and time.monotonic() < until:
            settled = settled + 1 if watch.open() else 0
            time.sleep(1)
    finally:
        watch._ended.set()
        thread.join(timeout=90)


def settled(host: LabHost, run: str, seconds: float = 150) -> None:
    """Wait until no step of `run` is open on the host, and its timer is taken away."""
    until = time.monotonic() + seconds
    states = f"cat /var/lib/medsec/guard/{run}/[0-9]*/state 2> /dev/null | grep -cx -e armed -e saved -e saving; ls -d /etc/systemd/system/medsec-revert-{run}* 2> /dev/null"
    while host.run_as_root(states).stdout.strip() != "0":
        assert time.monotonic() < until, f"{run} still has an open step on {host.name}"
        time.sleep(1)


def run_apply(selection: Selection, tool: str, folder: Path, on_event: Any = None) -> Applied:
    """Apply under the guard as the command line does, the run's folder being `folder`."""

    def verdicts(hosts: Any, controls: Any) -> Any:
        return judge(selection.inventory, hosts, controls).findings

    def hear(event: Event) -> None:
        if on_event is not None:
            on_event(event)

    guard = HostGuard(selection.inventory, lambda: folder, tool)
    return apply(selection, engine(tool), judge=verdicts, on_event=hear, guard=guard)


def select(inventory: Inventory, *controls: Control) -> Selection:
    return Selection(inventory, list(inventory.hosts.values()), Controls({entry.id: entry for entry in controls}))


def unlike(host: LabHost, before: overlay.Listing) -> list[str]:
    """Return the paths of the host that are not what they were at `before`."""
    after = overlay.listing(host.upper)
    image = overlay.image_marks({*before, *after}, host.place.images.lower(host.spec))
    return [
        f"{path} ({marks})"
        for path, marks in overlay.not_restored(before, after, image).items()
        if not path.startswith(("/var/lib/medsec", "/home"))
    ]


def note(fault: str, tool: str, seconds: float) -> None:
    """Keep the result for docs/faults.md, where `make faults` asks for it."""
    path = os.environ.get("MEDSEC_FAULTS")
    if path:
        line = json.dumps({"fault": fault, "engine": tool, "seconds": round(seconds)}) + "\n"
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(line)
