"""Judge, change what does not pass, judge again; with the guard around what may lock out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from medsec.catalogue.controls import Control, Controls
from medsec.engines.ansible import AnsibleEngine
from medsec.engines.base import Event, Status, Work
from medsec.engines.guard import Protection
from medsec.engines.planning import Selection, apply, plan
from medsec.evidence.findings import Finding, Verdict
from medsec.inventory import Host, Inventory, load_inventory
from medsec.text import Text, says
from tests import engine_site as site


class Site:
    """A site of local hosts, and a judge that looks at the files that the controls are about."""

    def __init__(self, folder: Path) -> None:
        roles = folder / "roles"
        self.target = folder / "target"
        self.target.mkdir()
        self.controls: Controls = site.catalogue(
            self._control(roles, "a_door", risk="access"),
            self._control(roles, "b_plain"),
            self._control(roles, "c_by_hand", enforce=False, who_acts=site.BOTH),
        )
        local = {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
        }
        self.inventory: Inventory = load_inventory(site.make_site(folder / "site", {"one": local, "two": local}))
        for name, host in self.inventory.hosts.items():
            for control in self.controls.values():
                host.variables[control.variable("path")] = str(self.path(name, control.id))
        self.fixed: dict[tuple[str, str], Verdict] = {}
        self.judged: list[list[str]] = []

    def _control(self, roles: Path, name: str, **more: Any) -> Control:
        return site.make_control(roles, name, path=str(self.target / "nowhere"), **more)

    def path(self, host: str, control: str) -> Path:
        return self.target / f"{host}-{control}"

    def selection(self, *, every: bool = False) -> Selection:
        return Selection(self.inventory, list(self.inventory.hosts.values()), self.controls, every=every)

    def judge(self, hosts: Sequence[Host], controls: Sequence[Control]) -> Iterator[Finding]:
        self.judged.append([host.name for host in hosts])
        for host in hosts:
            for control in controls:
                there = self.path(host.name, control.id).is_file()
                verdict = self.fixed.get((host.name, control.id), Verdict.PASS if there else Verdict.FAIL)
                text = says(en=verdict.value, zh=verdict.value)
                yield Finding(host.name, control.id, "NW-10", verdict, text, datetime.now(UTC), 0.0)


class Watch:
    """A guard that notes what it was put around, and turns away the hosts it is told to."""

    def __init__(self, refuse: Mapping[str, Text] | None = None, revert: Mapping[str, Text] | None = None) -> None:
        self.refuse = dict(refuse or {})
        self.revert = dict(revert or {})
        self.held: list[str] = []
        self.around_what: list[tuple[bool, dict[str, list[str]]]] = []
        self.unfinished: list[dict[str, Text]] = []
        self.left: list[str] = []

    def hold(self, hosts: Sequence[str]) -> AbstractContextManager[Mapping[str, Text]]:
        self.held += hosts
        return nullcontext({})

    @contextmanager
    def around(self, work: Work, *, risky: bool) -> Iterator[Protection]:
        self.around_what.append((risky, {host: list(controls) for host, controls in work.todo.items()}))
        protection = Protection(refused=self.refuse if risky else {})
        try:
            yield protection
        except BaseException:
            self.left.append("by an exception")
            raise
        self.unfinished.append(protection.unfinished)
        protection.reverted = self.revert if risky else {}
        self.left.append("after the work")


@pytest.fixture
def clinic(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_only_what_does_not_pass_is_changed_and_the_rest_is_not_judged_twice(clinic: Site) -> None:
    for control in clinic.controls:
        clinic.path("two", control).touch()
    guard = Watch()
    done = apply(clinic.selection(), AnsibleEngine(), judge=clinic.judge, on_event=lambda event: None, guard=guard)
    assert done.result is not None
    assert set(done.result.outcomes) == {("one", "a_door"), ("one", "b_plain")}
    assert clinic.judged == [["one", "two"], ["one"]]
    assert guard.held == ["one"]
    assert guard.around_what == [(False, {"one": ["b_plain"]}), (True, {"one": ["a_door"]})]
    assert guard.left == ["after the work"] * 2
    verdicts = {(finding.host, finding.control): finding.verdict for finding in done.after}
    assert len(verdicts) == len(done.before)
    assert [pair for pair, verdict in verdicts.items() if verdict is not Verdict.PASS] == [("one", "c_by_hand")]
    assert [(finding.host, finding.control) for finding in done.by_hand] == [("one", "c_by_hand")]


def test_the_door_comes_after_the_ordinary_and_what_is_late_after_the_door(tmp_path: Path) -> None:
    clinic = Site(tmp_path)
    late = site.make_control(tmp_path / "roles", "a_late", path=str(clinic.path("one", "a_late")), late=True)
    controls = site.catalogue(late, clinic.controls["a_door"], clinic.controls["b_plain"])
    selection = replace(clinic.selection(), hosts=[clinic.inventory.hosts["one"]], controls=controls)
    events: list[Event] = []
    apply(selection, AnsibleEngine(), judge=clinic.judge, on_event=events.append)
    assert [event.control for event in events] == ["b_plain", "a_door", "a_late"]


def test_a_healthy_fleet_costs_one_judgement(clinic: Site) -> None:
    for host in clinic.inventory.hosts:
        for control in clinic.controls:
            clinic.path(host, control).touch()
    done = apply(clinic.selection(), AnsibleEngine(), judge=clinic.judge, on_event=lambda event: None)
    assert done.result is None
    assert done.after is done.before
    assert len(clinic.judged) == 1
    assert (
        plan(clinic.selection(), AnsibleEngine(), judge=clinic.judge, on_event=lambda event: None).result is None
    )


def test_waived_unreachable_and_not_applicable_pairs_are_left_alone_even_by_all(clinic: Site) -> None:
    left = [Verdict.WAIVED, Verdict.UNREACHABLE, Verdict.NOT_APPLICABLE]
    clinic.fixed = dict.fromkeys([(h, c) for h in clinic.inventory.hosts for c in clinic.controls], Verdict.WAIVED)
    clinic.fixed |= dict(zip([("one", "a_door"), ("one", "b_plain"), ("two", "a_door")], left, strict=True))
    done = apply(clinic.selection(every=True), AnsibleEngine(), judge=clinic.judge, on_event=lambda event: None)
    assert done.result is None


def test_a_host_that_cannot_be_protected_keeps_its_way_in_as_it_is(clinic: Site) -> None:
    events: list[Event] = []
    guard = Watch({"one": says(en="no room for a snapshot", zh="空间不足")})
    done = apply(clinic.selection(), AnsibleEngine(), judge=clinic.judge, on_event=events.append, guard=guard)
    assert done.result is not None
    assert done.result.outcomes["one", "a_door"].failed == "no room for a snapshot"
    assert not clinic.path("one", "a_door").exists()
    assert clinic.path("two", "a_door").exists()
    assert clinic.path("one", "b_plain").exists()
    refused = [event for event in events if event.status is Status.FAILED]
    assert [(event.host, event.control) for event in refused] == [("one", "a_door")]


def test_what_was_taken_back_is_no_success_though_the_engine_did_its_work(clinic: Site) -> None:
    reason = says(en="nobody gets in any more", zh="无法登录")
    events: list[Event] = []
    done = apply(
        clinic.selection(),
        AnsibleEngine(),
        judge=clinic.judge,
        on_event=events.append,
        guard=Watch(revert={"one": reason}),
    )
    assert done.result is not None
    assert done.result.outcomes["one", "a_door"].failed == reason
    assert not done.result.outcomes["one", "a_door"].finished
    assert done.result.outcomes["two", "a_door"].finished
    assert [event.host for event in events if event.task == "guard"] == ["one"]


def test_the_guard_hears_where_the_engine_did_not_come_to_its_end(tmp_path: Path) -> None:
    clinic = Site(tmp_path)
    broken = site.make_control(
        tmp_path / "roles",
        "a_broken",
        path=str(tmp_path / "nowhere"),
        tasks=site.BROKEN_TASKS,
        deploy=site.BROKEN_DEPLOY,
        risk="access",
    )
    guard = Watch()
    selection = replace(clinic.selection(), controls=site.catalogue(broken, clinic.controls["b_plain"]))
    apply(selection, AnsibleEngine(), judge=clinic.judge, on_event=lambda event: None, guard=guard)
    assert [sorted(hosts) for hosts in guard.unfinished] == [[], ["one", "two"]]


def test_risky_controls_come_one_by_one_and_on_no_more_hosts_than_the_engine_works_on_at_once(
    tmp_path: Path,
) -> None:
    clinic = Site(tmp_path)
    second = site.make_control(tmp_path / "roles", "a_second_door", path=str(tmp_path / "nowhere"), risk="access")
    guard = Watch()
    selection = replace(clinic.selection(), controls=site.catalogue(clinic.controls["a_door"], second), forks=1)
    apply(selection, AnsibleEngine(), judge=clinic.judge, on_event=lambda event: None, guard=guard)
    assert [hosts for _, hosts in guard.around_what] == [
        {host: [control]} for control in ("a_door", "a_second_door") for host in ("one", "two")
    ]


def test_a_batch_that_does_not_pass_stops_the_run(clinic: Site) -> None:
    clinic.fixed[("one", "b_plain")] = Verdict.FAIL  # whatever the remedy does
    done = apply(clinic.selection(), AnsibleEngine(), judge=clinic.judge, on_event=lambda event: None, batch=1)
    assert done.left == ["two"]
    assert clinic.path("one", "a_door").exists()
    assert not clinic.path("two", "a_door").exists()
    assert len(done.after) == len(done.before)


def test_batches_go_on_while_they_pass(clinic: Site) -> None:
    done = apply(clinic.selection(), AnsibleEngine(), judge=clinic.judge, on_event=lambda event: None, batch=1)
    assert done.left == []
    assert clinic.judged == [["one", "two"], ["one"], ["two"]]
    assert clinic.path("two", "a_door").exists()


def test_a_plan_foresees_what_all_would_run(clinic: Site) -> None:
    clinic.path("one", "b_plain").write_text("otherwise\n")
    clinic.path("two", "b_plain").write_text("as wanted\n")
    clinic.path("two", "b_plain").chmod(0o600)
    planned = plan(clinic.selection(every=True), AnsibleEngine(), judge=clinic.judge, on_event=lambda event: None)
    assert planned.result is not None
    changed = {pair: outcome.changed for pair, outcome in planned.result.outcomes.items()}
    assert changed == {("one", "a_door"): 1, ("one", "b_plain"): 1, ("two", "a_door"): 1, ("two", "b_plain"): 0}
    assert clinic.path("one", "b_plain").read_text() == "otherwise\n"
