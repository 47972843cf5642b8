"""The Ansible engine at work on this very machine, by Ansible's local connection, in folders of the test's own."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medsec.engines.ansible import AnsibleEngine
from medsec.engines.base import EngineResult, Event, Status, Work
from medsec.errors import UsageError
from medsec.inventory import load_inventory
from tests import engine_site as site

LOCAL = {"ansible_connection": "local", "ansible_become": False}


@pytest.fixture(autouse=True)
def ansible_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep what Ansible leaves in its home out of the operator's."""
    monkeypatch.setenv("ANSIBLE_HOME", str(tmp_path / "ansible"))


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """Two local hosts; the first control in order succeeds, the second stumbles, two more follow."""
    roles = tmp_path / "roles"
    site.make_handlers(roles)
    target = tmp_path / "target"
    target.mkdir()
    controls = site.catalogue(
        site.make_control(roles, "a_first", path=str(target / "first")),
        site.make_control(roles, "b_broken", tasks=site.BROKEN_TASKS, deploy=site.BROKEN_DEPLOY, path="/x"),
        site.make_control(roles, "c_handled", tasks=site.HANDLED_TASKS, path=str(target / "handled")),
        site.make_control(roles, "d_last", path=str(target / "last")),
    )
    local = {**LOCAL, "ansible_python_interpreter": sys.executable}
    folder = site.make_site(tmp_path / "site", {"one": local}, test_folder=str(target))
    return Work(load_inventory(folder), controls, {"one": ["a_first", "c_handled"]}, "apply")


def run(work: Work, **changes: Any) -> tuple[EngineResult, list[Event]]:
    events: list[Event] = []
    result = AnsibleEngine().run(replace(work, **changes), events.append)
    return result, events


def test_changes_are_made_told_and_not_made_twice(work: Work, tmp_path: Path) -> None:
    result, events = run(work)
    assert (tmp_path / "target/first").read_text() == "as wanted\n"
    assert result.complete
    assert result.changed == 3
    told = [(event.control, event.task, event.status) for event in events]
    assert told == [
        ("a_first", "Write the file", Status.CHANGED),
        ("c_handled", "Write the file", Status.CHANGED),
        ("c_handled", "Tell", Status.CHANGED),
    ]
    again, _ = run(work)
    assert again.complete
    assert again.changed == 0


def test_a_plan_shows_differences_and_changes_nothing(work: Work, tmp_path: Path) -> None:
    result, events = run(work, mode="plan")
    assert result.complete
    assert result.outcomes["one", "a_first"].changed == 1
    assert events[0].diff is not None
    assert "+as wanted" in events[0].diff
    assert list((tmp_path / "target").iterdir()) == []


def test_what_stands_behind_a_failed_control_still_runs(work: Work, tmp_path: Path) -> None:
    result, _ = run(work, todo={"one": ["a_first", "b_broken", "c_handled", "d_last"]})
    assert result.outcomes["one", "b_broken"].failed is not None
    assert not result.outcomes["one", "b_broken"].finished
    assert list(result.failures) == [("one", "b_broken")]
    assert (tmp_path / "target/last").is_file()
    assert result.outcomes["one", "d_last"].finished


def test_an_unreachable_host_says_so_and_others_go_on(work: Work, tmp_path: Path) -> None:
    hosts = {
        "dead": {"ansible_host": "127.0.0.1", "ansible_port": 9, "ansible_become": False},
        "one": {**LOCAL, "ansible_python_interpreter": sys.executable},
    }
    inventory = load_inventory(site.make_site(tmp_path / "site2", hosts))
    result, events = run(work, inventory=inventory, todo={"dead": ["a_first", "d_last"], "one": ["d_last"]})
    assert result.outcomes["one", "d_last"].finished
    assert "does not answer" in result.unreachable["dead"]
    assert set(result.failures) == {("dead", "a_first"), ("dead", "d_last")}
    assert [event.status for event in events if event.host == "dead"] == [Status.UNREACHABLE]


def test_a_host_without_python_is_sent_to_the_other_engine(work: Work, tmp_path: Path) -> None:
    hosts = {"bare": {**LOCAL, "ansible_python_interpreter": "/nowhere/python3"}}
    inventory = load_inventory(site.make_site(tmp_path / "site2", hosts))
    result, _ = run(work, inventory=inventory, todo={"bare": ["a_first"]})
    assert "no Python on host: use --engine pyinfra" in result.unreachable["bare"]


def test_a_command_is_known_only_after_apply(work: Work, tmp_path: Path) -> None:
    tasks = (
        "---\n- name: Run something\n  ansible.builtin.command: touch {{ e_command_path }}\n  changed_when: true\n"
    )
    path = str(tmp_path / "target/touched")
    control = site.make_control(tmp_path / "roles", "e_command", tasks=tasks, path=path)
    result, events = run(work, mode="plan", controls=site.catalogue(control), todo={"one": ["e_command"]})
    assert [event.status for event in events] == [Status.UNKNOWN]
    assert result.outcomes["one", "e_command"].unknown == 1
    assert result.outcomes["one", "e_command"].finished
    assert not Path(path).exists()


def test_parameters_reach_ansible_as_they_stand(work: Work, tmp_path: Path) -> None:
    awkward = "{{ braces }} {% raw %} 'quotes' 汉字 #\n"
    local = {**LOCAL, "ansible_python_interpreter": sys.executable}
    inventory = load_inventory(site.make_site(tmp_path / "site2", {"one": local}))
    inventory.hosts["one"].variables["a_first_text"] = awkward
    run(work, inventory=inventory, todo={"one": ["a_first"]})
    assert (tmp_path / "target/first").read_text() == awkward


def test_a_wrong_parameter_is_refused_before_anything_runs(work: Work, tmp_path: Path) -> None:
    work.inventory.hosts["one"].variables["c_handled_text"] = 7
    with pytest.raises(UsageError, match="c_handled_text"):
        run(work)
    assert list((tmp_path / "target").iterdir()) == []


def test_an_interrupt_leaves_no_process_behind(work: Work, tmp_path: Path) -> None:
    tasks = "---\n- name: Wait\n  ansible.builtin.command: sleep 61.5\n  changed_when: false\n"
    control = site.make_control(tmp_path / "roles", "f_slow", tasks=tasks, path="/x")
    slow = replace(work, controls=site.catalogue(control), todo={"one": ["f_slow"]})
    threading.Thread(target=_interrupt_when(lambda: "61.5" in _commands()), daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        AnsibleEngine().run(slow, lambda event: None)
    time.sleep(0.5)
    assert "61.5" not in _commands()


def _interrupt_when(ready: Callable[[], bool]) -> Callable[[], None]:
    def watch() -> None:
        until = time.monotonic() + 60
        while not ready() and time.monotonic() < until:
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    return watch


def _commands() -> str:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except OSError:  # it has just ended
            continue
    return "\n".join(found)
