"""A plan as it is read out: by control, equal differences once with all their hosts, and nothing left out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from medsec_cli.plan_text import plan_text

from medsec.catalogue.controls import Controls
from medsec.engines.ansible import AnsibleEngine
from medsec.engines.base import EngineResult, Event, Outcome, Status, Work
from medsec.engines.foreseen import Foreseen, foreseen
from medsec.engines.planning import Planned
from medsec.evidence.findings import Finding, Verdict
from medsec.inventory import load_inventory
from medsec.text import Language, says
from tests import engine_site as site

HOSTS = ["zd-1", "zd-2", "zd-3", "db"]
TEMPLATE_TASKS = """\
---
- name: Write the file
  ansible.builtin.template:
    src: %(source)s
    dest: "{{ %%s_path }}"
    mode: "0600"
"""
DIFF = "--- before: /etc/a\n+++ after: /etc/a\n@@ -1 +1 @@\n-old\n+new"


@pytest.fixture
def controls(tmp_path: Path) -> Controls:
    door = site.make_control(tmp_path, "a_door", path="/x", risk="access", impact={"zh": "须用密钥", "en": "Keys"})
    return site.catalogue(door, site.make_control(tmp_path, "b_plain", path="/x"))


def finding(host: str, control: str, verdict: Verdict = Verdict.FAIL, text: str = "it is open") -> Finding:
    return Finding(host, control, "NW-10", verdict, says(en=text, zh=f"{text}。"), datetime.now(UTC), 0.0)


def fold(
    controls: Controls, events: Sequence[Event], *findings: Finding, unreachable: dict[str, str] | None = None
) -> Foreseen:
    result = EngineResult(unreachable=unreachable or {})
    for entry in findings:
        if entry.verdict in {Verdict.FAIL, Verdict.PASS, Verdict.ERROR}:
            outcome = result.outcomes[entry.host, entry.control] = Outcome(finished=True)
            for event in events:
                if (event.host, event.control) == (entry.host, entry.control):
                    outcome.take(event)
    return foreseen(Planned(list(findings), [], result), events, HOSTS, controls)


def lines(plan: Foreseen, language: Language = "en") -> list[str]:
    return [click.unstyle(line) for line in plan_text(plan, language)]


def test_equal_differences_are_one_block_with_its_hosts(controls: Controls) -> None:
    events = [Event(host, "a_door", "Write", Status.CHANGED, diff=DIFF) for host in ("zd-3", "db", "zd-1")]
    events.insert(1, Event("zd-2", "a_door", "Write", Status.CHANGED, diff=DIFF.replace("old", "older")))
    events.append(Event("zd-1", "a_door", "Reload", Status.UNKNOWN))
    plan = fold(controls, events, *(finding(host, "a_door") for host in HOSTS))
    shown = lines(plan)
    del shown[shown.index("  known only after apply: Reload | zd-1")]
    assert shown[:17] == [
        "[low] NW-10 Test control a_door | a_door",
        "  hosts: zd-[1-3], db (4 hosts)",
        "  now: it is open",
        "  people notice: Keys",
        "  risk: may lock people out",
        "  change: Write | zd-1, zd-3, db (3 hosts)",
        *(f"      {line}" for line in DIFF.splitlines()),
        "  change: Write | zd-2",
        *(f"      {line}" for line in DIFF.replace("old", "older").splitlines()),
    ]
    assert (plan.changes, plan.unknown) == (4, 1)


def test_steps_keep_the_order_of_every_host(controls: Controls) -> None:
    """The host that is told of first may skip what comes first on another."""
    events = [
        Event("zd-1", "b_plain", "second", Status.CHANGED),
        Event("zd-2", "b_plain", "first", Status.CHANGED),
        Event("zd-2", "b_plain", "second", Status.CHANGED),
        Event("zd-2", "b_plain", "third", Status.CHANGED),
    ]
    plan = fold(controls, events, finding("zd-1", "b_plain"), finding("zd-2", "b_plain"))
    assert [step.task for step in plan.controls[0].steps] == ["first", "second", "third"]


def test_what_could_not_be_foreseen_is_named_and_never_taken_for_nothing(controls: Controls) -> None:
    events = [
        Event("zd-2", None, "connect", Status.UNREACHABLE, message="no route"),
        Event("zd-3", "a_door", "Validate", Status.FAILED, message="sshd: bad option"),
    ]
    plan = fold(
        controls,
        events,
        finding("zd-1", "a_door", Verdict.UNREACHABLE, "does not answer"),
        finding("zd-2", "a_door"),
        finding("zd-3", "a_door"),
        finding("db", "a_door"),
        finding("db", "b_plain", Verdict.WAIVED, "waived until 2027-01-01"),
        finding("zd-3", "b_plain", Verdict.NOT_SELECTED, "!b_plain"),
        unreachable={"zd-2": "no route"},
    )
    assert plan.unplanned == {"zd-1": "does not answer", "zd-2": "no route"}
    assert plan.controls[0].nothing == ["db"]
    text = "\n".join(lines(plan))
    for part in (
        "CANNOT BE FORESEEN: Validate | zd-3\n      sshd: bad option",
        "nothing foreseen: db: the check does not pass",
        "  zd-1: does not answer",
        "  zd-2: no route",
        "  db b_plain: waived until 2027-01-01",
        "Not selected by the site, left as it is:\n  b_plain: zd-3",
    ):
        assert part in text
    assert "zd-1" not in plan.hosts


def test_a_failure_without_an_event_is_told(controls: Controls) -> None:
    result = EngineResult({("db", "a_door"): Outcome(failed="the index is stale")})
    plan = foreseen(Planned([finding("db", "a_door")], [], result), [], HOSTS, controls)
    assert "      the index is stale" in lines(plan)


def test_what_passes_and_stays_is_not_shown_with_all(controls: Controls) -> None:
    plan = fold(controls, [], finding("db", "a_door", Verdict.PASS))
    assert plan.controls == []


def test_chinese_has_chinese_words_only_and_no_colour_stands_alone(controls: Controls) -> None:
    events = [Event(host, "a_door", "写入", Status.CHANGED, diff=DIFF) for host in HOSTS[:2]]
    plan = fold(controls, events, *(finding(host, "a_door", text="开放") for host in HOSTS[:2]))
    text = lines(plan, "zh")
    for line in ("  主机：zd-[1-2]（2 台）", "  现状：开放。", "  业务影响：须用密钥", "  整改风险：可能影响登录"):
        assert line in text
    assert "  变更：写入" in text
    coloured = list(plan_text(plan, "zh"))
    assert any("\x1b[32m+new" in line for line in coloured)


def test_a_hosts_words_neither_steer_the_terminal_nor_give_secrets_away(controls: Controls) -> None:
    diff = "+password = hunter2hunter2\n+\x1b]0;owned\x07text"
    event = Event("db", "a_door", "Write", Status.CHANGED, diff=diff, message="\x1b[2Jgone")
    plan = fold(controls, [event], finding("db", "a_door"))
    text = "\n".join(lines(plan))
    assert "hunter2" not in text
    assert "\x1b" not in text
    assert "gone" in text


def test_ansible_titles_a_difference_by_the_file_on_the_host_so_that_hosts_fold(tmp_path: Path) -> None:
    """Real Ansible, two hosts that are this machine, a file that is there on neither and one that differs on both."""
    old = tmp_path / "old"
    old.write_text("as it was\n", encoding="utf-8")
    (tmp_path / "wanted.j2").write_text("as wanted\n", encoding="utf-8")
    tasks = TEMPLATE_TASKS % {"source": tmp_path / "wanted.j2"}
    both = site.catalogue(
        site.make_control(tmp_path / "roles", "a_new", tasks=tasks % "a_new", path=str(tmp_path / "new")),
        site.make_control(tmp_path / "roles", "b_old", tasks=tasks % "b_old", path=str(old)),
    )
    local = {
        "ansible_connection": "local",
        "ansible_become": False,
        "ansible_python_interpreter": sys.executable,
    }
    inventory = load_inventory(site.make_site(tmp_path / "site", {"one": local, "two": local}))
    events: list[Event] = []
    todo = {host: ["a_new", "b_old"] for host in ("one", "two")}
    result = AnsibleEngine().run(Work(inventory, both, todo, "plan"), events.append)
    findings = [finding(host, control) for host in todo for control in todo[host]]
    plan = foreseen(Planned(findings, [], result), events, ["one", "two"], both)
    for control, path in zip(plan.controls, (tmp_path / "new", old), strict=True):
        (step,) = control.steps
        assert step.hosts == ["one", "two"]
        assert f"+++ after: {path}" in (step.diff or "")
        assert "+as wanted" in (step.diff or "")
    assert old.read_text(encoding="utf-8") == "as it was\n"
    assert not (tmp_path / "new").exists()
