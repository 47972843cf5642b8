"""The judge on this machine: what each kind of check comes to."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from textwrap import dedent
from typing import NoReturn

import pytest

from medsec.catalogue.controls import Control
from medsec.errors import HostUnreachable, LinkFailed
from medsec.evidence.conclusion import ItemVerdict, conclude
from medsec.evidence.encoding import record_from, record_json
from medsec.evidence.findings import Finding, Verdict
from medsec.inventory import Host, Inventory, Ledger
from medsec.inventory.hosts import Login
from medsec.inventory.waivers import Resolved, Waiver, Waivers
from medsec.judge import Limits, LocalTransport, SshTransport, judge, stream
from medsec.judge.identity import Identity, identify
from medsec.judge.judge import HostDone
from medsec.judge.learning import course_of
from medsec.judge.recording import ConnectedHost
from medsec.text import says
from tests.unit.test_schedule import Seen

TEXT = {"zh": "文", "en": "text"}
MakeControl = Callable[..., Control]


def os_family() -> str:
    return "debian" if Path("/etc/debian_version").exists() else "redhat"


def clinic(*names: str, family: str | None = None, kind: str = "server") -> Inventory:
    hosts = {
        name: {
            "kind": kind,
            "os_family": family or os_family(),
            "address": "127.0.0.1",
            "department": TEXT,
            "owner": "张工",
            "location": TEXT,
            "purpose": TEXT,
        }
        for name in names
    }
    ledger = Ledger.model_validate(
        {
            "institution": TEXT,
            "address_sets": {"clinic": ["10.66.0.0/16"]},
            "time_sources": ["10.66.1.254"],
            "hosts": hosts,
        }
    )
    login = Login(address="127.0.0.1")
    return Inventory(
        path=Path("/nowhere"),
        ledger=ledger,
        hosts={name: Host(name, login, (), {}, ledger.hosts[name]) for name in names},
    )


@pytest.fixture
def control(tmp_path: Path) -> MakeControl:
    def make(body: str, name: str = "state_holds", item: str = "NW-01", **applies_to: object) -> Control:
        home = tmp_path / "roles/some/controls" / name
        home.mkdir(parents=True)
        source = f"def check(host, params):\n{dedent(body).strip()}\n".replace("\n", "\n    ")
        header = (
            "from medsec.errors import HostUnreachable, LinkFailed, ProbeError\nfrom medsec.text import says\n\n"
        )
        home.joinpath("check.py").write_text(header + source, encoding="utf-8")
        return Control.model_validate(
            {
                "id": name,
                "item": item,
                "title": TEXT,
                "why": TEXT,
                "impact": TEXT,
                "severity": "high",
                "applies_to": {"kinds": ["server", "db"], "families": ["debian", "redhat"], **applies_to},
                "risk": "none",
                "proof": "container",
                "family": "some",
                "home": home,
            }
        )

    return make


def judged(control: Control, **options: object) -> Finding:
    inventory = clinic("here")
    limits = options.pop("limits", Limits())
    options.setdefault("transport", LocalTransport(limits))  # type: ignore[arg-type]
    result = judge(inventory, list(inventory.hosts.values()), [control], limits=limits, **options)  # type: ignore[arg-type]
    assert len(result.findings) == 1
    return result.findings[0]


def test_a_check_that_asked_the_host_and_raised_nothing_passes(control: MakeControl) -> None:
    finding = judged(control("assert host.run('id -u').stdout == '0\\n'"))
    assert finding.verdict is Verdict.PASS
    [record] = finding.evidence
    assert (record.command, record.rc, record.stdout) == ("id -u", 0, "0\n")
    assert record.started.tzinfo is UTC


def test_an_assertion_is_a_failure_in_both_languages(control: MakeControl) -> None:
    finding = judged(control("assert host.run('false').rc == 0, says(en='it is off', zh='未启用')"))
    assert (finding.verdict, finding.text.en, finding.text.zh) == (Verdict.FAIL, "it is off", "未启用")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("pass", "ran no command"),
        ("host.run('true'); return True", "returned True"),
        ("host.run('true'); return False", "returned False"),
        ("host.check_output('no_such_tool --version')", "exit code 127"),
        ("host.run_test('exit 3')", "exit code 3"),
        ("host.service('nothing').is_running.no_such", "AttributeError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(0)", "SystemExit"),
        ("import pytest; pytest.skip('not today')", "not today"),
        ("raise ProbeError(says(en='no sshd', zh='缺少 sshd'))", "no sshd"),
        ("int(host.run('true').stdout)", "ValueError"),
        ("if True\n    pass", "SyntaxError"),
    ],
)
def test_whatever_else_is_raised_or_left_undone_is_an_error(control: MakeControl, body: str, told: str) -> None:
    finding = judged(control(body))
    assert finding.verdict is Verdict.ERROR
    assert told in finding.text.en
    assert finding.text.zh


def test_a_swallowed_timeout_does_not_pass(control: MakeControl) -> None:
    body = """
        try:
            host.run('sleep 30')
        except Exception:
            pass
    """
    finding = judged(control(body), limits=Limits(command=1))
    assert finding.verdict is Verdict.ERROR
    assert "no answer within 1 s" in finding.text.en
    assert finding.evidence[0].rc is None


def test_the_commands_of_one_check_share_its_time(control: MakeControl) -> None:
    body = """
        for _ in range(10):
            host.run('sleep 0.5')
    """
    started = datetime.now(UTC)
    finding = judged(control(body), limits=Limits(check=1))
    assert finding.verdict is Verdict.ERROR
    assert (datetime.now(UTC) - started).total_seconds() < 5


def test_a_flood_of_output_is_stopped(control: MakeControl) -> None:
    finding = judged(control("host.run('yes')"), limits=Limits(output=100_000))
    assert finding.verdict is Verdict.ERROR
    assert "more than 100000 bytes" in finding.text.en


def test_evidence_is_bounded_and_its_digest_covers_all_of_it(control: MakeControl) -> None:
    [record] = judged(control("assert len(host.run('yes | head -c 1000000').stdout) == 1000000")).evidence
    assert record.shortened
    assert len(record.stdout) < 200_000
    assert (
        record.sha256
        == subprocess.run(
            "yes | head -c 1000000 | sha256sum", shell=True, capture_output=True, text=True, check=True
        ).stdout.split()[0]
    )


def test_what_does_something_is_told_by_its_evidence_and_not_learned(control: MakeControl) -> None:
    body = """
        host.run('id')
        host.run('true', once=True)
    """
    asked, done = (record_from(record_json(record)) for record in judged(control(body)).evidence)
    assert (asked.once, done.once) == (False, True)
    assert course_of([asked, done]) == ("id", None)
    # The number of a process is one host's, even if many hosts of a lab happen to share it.
    for one in ("ps -o etimes= -p 76", "journalctl _PID=76", "cat /proc/76/status"):
        assert course_of([replace(asked, command=one)]) == (None,)


def test_bytes_that_are_no_utf8_stay_visible(control: MakeControl) -> None:
    body = """
        said = host.run("printf '\\\\326\\\\320'").stdout
        assert said == "", says(en=f"met {said}", zh=f"实际为 {said}")
    """
    finding = judged(control(body))
    assert finding.verdict is Verdict.FAIL
    assert finding.text.en == r"met \xd6\xd0"


def test_escapes_do_not_reach_the_reader(control: MakeControl) -> None:
    body = "raise AssertionError(says(en='\\x1b[2J\\x1b]0;owned\\x07bad\\u202e', zh='\\x1b[31m坏'))"
    finding = judged(control(body))
    assert (finding.text.en, finding.text.zh) == (r"bad\x202e", "坏")


def test_another_user_is_asked_through_root(control: MakeControl) -> None:
    body = """
        with host.sudo('nobody'):
            assert host.check_output('id -un') == 'nobody'
        assert host.check_output('id -un') == 'root'
    """
    assert judged(control(body)).verdict is Verdict.PASS


def test_assertions_hold_under_python_o(control: MakeControl) -> None:
    made = control("assert host.run('false').rc == 0, says(en='it is off', zh='未启用')")
    program = f"""
import sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from testinfra.backend.local import LocalBackend
from medsec.catalogue.controls import Control
from medsec.inventory import Params
from medsec.judge.checks import evaluate
from medsec.judge.recording import connected
control = Control.model_construct(id='state_holds', home=Path({str(made.home)!r}))
print(__debug__, evaluate(control, connected(LocalBackend()), Params(control, {{}})).verdict)
"""
    told = subprocess.run([sys.executable, "-O", "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "fail"]


def test_what_the_ledger_rules_out_is_listed_with_its_reason(control: MakeControl) -> None:
    finding = judged(control("raise ValueError", kinds=["terminal"]))
    assert finding.verdict is Verdict.NOT_APPLICABLE
    assert "registered as server" in finding.text.en
    finding = judged(control("raise ValueError", "other_state", runs="postgresql"))
    assert finding.verdict is Verdict.NOT_APPLICABLE
    assert "does not register postgresql" in finding.text.en


def test_a_system_other_than_the_registered_one_is_an_error_that_names_both(control: MakeControl) -> None:
    other = "redhat" if os_family() == "debian" else "debian"
    inventory = clinic("here", family=other)
    # The control speaks of the registered family only: what the ledger says must not make it apply, or not apply.
    for name, families in (("state_one", [other]), ("state_two", [os_family()])):
        made = control("host.run('true')", name, families=families)
        result = judge(inventory, list(inventory.hosts.values()), [made], transport=LocalTransport())
        [finding] = result.findings
        assert finding.verdict is Verdict.ERROR
        assert f"says os_family '{other}', the host says '{os_family()}'" in finding.text.en
        assert result.exit_code == 3


class _SomeUnreachable:
    """Leads to this machine, except for hosts whose names begin with `dead` or `odd`."""

    def connect(self, host: Host) -> ConnectedHost:
        if host.name.startswith("dead"):
            raise HostUnreachable(says(en=f"host {host.name}: no answer", zh=f"主机 {host.name}：无应答"))
        if host.name.startswith("odd"):
            raise KeyError("a defect in the transport")
        return LocalTransport().connect(host)


def test_one_host_never_touches_another(control: MakeControl) -> None:
    controls = [control("host.run('true')"), control("host.run('true')", "other_state", kinds=["db"])]
    inventory = clinic("one", "dead-1", "two", "odd-1", "dead-2", "three")
    seen: list[Finding] = []
    result = judge(
        inventory,
        list(inventory.hosts.values()),
        controls,
        transport=_SomeUnreachable(),
        forks=3,
        on_finding=seen.append,
    )
    assert [(f.host, f.verdict) for f in result.findings if f.control == "state_holds"] == [
        ("one", Verdict.PASS),
        ("dead-1", Verdict.UNREACHABLE),
        ("two", Verdict.PASS),
        ("odd-1", Verdict.ERROR),
        ("dead-2", Verdict.UNREACHABLE),
        ("three", Verdict.PASS),
    ]
    assert {f.verdict for f in result.findings if f.control == "other_state"} == {Verdict.NOT_APPLICABLE}
    assert sorted(map(id, seen)) == sorted(map(id, result.findings))
    assert result.exit_code == 3
    assert result.identities["one"] is not None
    assert result.identities["dead-1"] is None


def test_a_defect_of_the_judge_itself_is_an_error_and_no_silence(control: MakeControl) -> None:
    class Broken(Waivers):
        def apply(self, *_: object, **__: object) -> NoReturn:
            raise KeyError("a defect")

    finding = judged(control("host.run('true')"), waivers=Broken(()))
    assert finding.verdict is Verdict.ERROR
    assert "a defect" in finding.text.en


def test_a_connection_lost_midway_leaves_the_rest_unreachable(control: MakeControl) -> None:
    lost = "host.run('true'); raise HostUnreachable(says(en='lost', zh='中断'))"
    controls = [
        control("host.run('true')", "state_a"),
        control(lost, "state_b"),
        control("host.run('true')", "state_c"),
    ]
    inventory = clinic("one")
    result = judge(inventory, list(inventory.hosts.values()), controls, transport=LocalTransport())
    assert [f.verdict for f in result.findings] == [Verdict.PASS, Verdict.UNREACHABLE, Verdict.UNREACHABLE]


def test_nothing_applicable_is_incomplete_and_never_clean(control: MakeControl) -> None:
    inventory = clinic("one")
    hosts = list(inventory.hosts.values())
    nothing = judge(inventory, hosts, [control("host.run('true')", kinds=["db"])], transport=LocalTransport())
    assert nothing.exit_code == 3
    assert judge(inventory, hosts, [], transport=LocalTransport()).exit_code == 3


def waiver(expires: date) -> Waivers:
    one = Waiver(
        control="state_holds",
        hosts=["here"],
        reason="r",
        owner="o",
        approver="a",
        compensation=["c"],
        expires=expires,
    )
    return Waivers([Resolved(one, frozenset({"here"}))])


def test_a_waived_control_is_still_evaluated(control: MakeControl) -> None:
    day = date(2025, 11, 22)
    made = control("host.run('true')\nassert False, says(en='it is off', zh='未启用')")
    finding = judged(made, waivers=waiver(day), today=day)
    assert finding.verdict is Verdict.WAIVED
    assert "would fail: it is off" in finding.text.en
    expired = judged(made, waivers=waiver(date(2025, 11, 21)), today=day)
    assert expired.verdict is Verdict.FAIL
    assert "expired on 2025-11-21" in expired.text.en
    assert expired.waiver is not None and expired.waiver.state == "expired"


def test_a_waiver_hides_no_error(control: MakeControl) -> None:
    day = date(2025, 11, 22)
    assert judged(control("1 / 0"), waivers=waiver(day), today=day).verdict is Verdict.ERROR
    unneeded = judged(control("host.run('true')", "state_holds_too"), today=day)
    assert unneeded.waiver is None


def relying(control: str, measure: str) -> Waivers:
    one = Waiver(
        control=control,
        hosts=["here"],
        reason="r",
        owner="o",
        approver="a",
        compensation=["c"],
        relies_on=["DB-01"],
        expires=date(2099, 1, 1),
    )
    return Waivers([Resolved(one, frozenset({"here"}), {"here": {"DB-01": (measure,)}})])


RELYING = "host.run('true')\nassert False, says(en='it is old', zh='过旧')"


@pytest.mark.parametrize(
    ("body", "met"),
    [
        ("host.run('true')", None),
        ("host.run('true')\nassert False, says(en='it is open', zh='敞开')", "DB-01 one_measure: fail"),
        ("1 / 0", "DB-01 one_measure: error"),
        (None, "DB-01 one_measure: not judged in this run"),
    ],
)
def test_a_waiver_that_relies_on_others_holds_while_they_pass(
    control: MakeControl, body: str | None, met: str | None
) -> None:
    """The waived control is asked first; its verdict waits for what it relies on."""
    controls = [control(RELYING, "a_old_thing")]
    if body is not None:
        controls.append(control(body, "one_measure", "DB-01"))
    waivers = relying("a_old_thing", "one_measure")
    inventory = clinic("here")
    found = judge(
        inventory, list(inventory.hosts.values()), controls, transport=LocalTransport(Limits()), waivers=waivers
    ).findings
    waived = found[0]
    assert (waived.control, len(found)) == ("a_old_thing", len(controls))
    assert waived.waiver is not None
    if met is None:
        assert (waived.verdict, waived.waiver.state) == (Verdict.WAIVED, "active")
    else:
        assert (waived.verdict, waived.waiver.state) == (Verdict.FAIL, "refused")
        assert met in waived.text.en


def test_what_a_waiver_relies_on_may_have_passed_before_the_link_failed(
    control: MakeControl, tmp_path: Path
) -> None:
    controls = [
        control("host.run('true')", "a_measure", "DB-01"),
        control(RELYING, "b_old_thing"),
        control(cut_once(tmp_path), "c_cut"),
    ]
    found = judge(
        inventory := clinic("here"),
        list(inventory.hosts.values()),
        controls,
        transport=LocalTransport(),
        waivers=relying("b_old_thing", "a_measure"),
    ).findings
    assert [f.verdict.value for f in found] == ["pass", "waived", "pass"]


def finding(verdict: Verdict, item: str = "NW-01", host: str = "h") -> Finding:
    return Finding(host, "c", item, verdict, says(en="e", zh="z"), datetime.now(UTC), 0.0)


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        ("pass pass", ItemVerdict.CONFORMS),
        ("pass fail", ItemVerdict.PARTLY),
        ("fail fail", ItemVerdict.VIOLATES),
        ("fail error", ItemVerdict.VIOLATES),
        ("pass error", ItemVerdict.UNDETERMINED),
        ("waived unreachable", ItemVerdict.UNDETERMINED),
        ("pass waived", ItemVerdict.PARTLY),
        ("waived", ItemVerdict.PARTLY),
        ("not_applicable", ItemVerdict.NOT_APPLICABLE),
        ("not_applicable pass", ItemVerdict.CONFORMS),
        ("not_selected pass", ItemVerdict.UNDETERMINED),
        ("not_selected fail", ItemVerdict.VIOLATES),
        ("not_selected waived", ItemVerdict.PARTLY),
        ("not_selected not_applicable", ItemVerdict.NOT_COVERED),
    ],
)
def test_the_verdict_of_an_item(seen: str, wanted: ItemVerdict) -> None:
    findings = [finding(Verdict(word)) for word in seen.split()]
    assert conclude(findings, planned=len(findings)).items["NW-01"] is wanted


def test_an_item_of_which_a_part_is_left_to_people_does_not_conform() -> None:
    def items(*seen: Verdict, concerned: tuple[str, ...] = ("h",)) -> dict[str, ItemVerdict]:
        findings = [finding(verdict, item) for verdict in seen for item in ("NW-01", "NW-12")]
        done = conclude(findings, planned=len(findings), remainders={"NW-12": concerned})
        assert done.cells == {("h", item): verdict for item, verdict in done.items.items()}
        return done.items

    assert items(Verdict.PASS) == {"NW-01": ItemVerdict.CONFORMS, "NW-12": ItemVerdict.PART_JUDGED}
    assert items(Verdict.FAIL)["NW-12"] is ItemVerdict.VIOLATES
    # No control speaks of the host, but the item may, or does not.
    assert items(Verdict.NOT_APPLICABLE)["NW-12"] is ItemVerdict.NOT_COVERED
    assert items(Verdict.NOT_APPLICABLE, concerned=())["NW-12"] is ItemVerdict.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("seen", "planned", "code"),
    [
        ("pass not_applicable", 2, 0),
        ("pass waived", 2, 0),
        ("pass not_selected", 2, 0),
        ("not_selected", 1, 3),
        ("pass fail", 2, 1),
        ("fail error", 2, 3),
        ("pass unreachable", 2, 3),
        ("not_applicable", 1, 3),
        ("", 0, 3),
        ("pass", 2, 3),
    ],
)
def test_the_exit_code(seen: str, planned: int, code: int) -> None:
    assert conclude([finding(Verdict(word)) for word in seen.split()], planned=planned).exit_code == code


def test_a_host_that_is_not_there_gets_one_clear_line(control: MakeControl, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    inventory = clinic("here")
    host = inventory.hosts["here"]
    for known, told in ((None, "is missing, so the host's key cannot be checked"), ("", "cannot be reached")):
        if known is not None:
            known_hosts.write_text(known)
        lost = Host("here", Login("127.0.0.1", port=1, known_hosts=known_hosts), (), {}, host.ledger)
        result = judge(
            inventory, [lost], [control("host.run('true')", f"state_{told[:2].strip()}")], transport=SshTransport()
        )
        assert result.findings[0].verdict is Verdict.UNREACHABLE
        assert told in result.findings[0].text.en


class _Flaky:
    """Leads to this machine; the first `failures` logins of hosts named flaky fail as `error` says."""

    def __init__(self, error: type[HostUnreachable], failures: int = 1, machine: str = "") -> None:
        self.error, self.left, self.machine = error, failures, machine
        self.order: list[str] = []

    def connect(self, host: Host) -> ConnectedHost:
        self.order.append(host.name)
        if host.name == "flaky" and self.left:
            self.left -= 1
            raise self.error(says(en=f"host {host.name}: no answer", zh=f"主机 {host.name}：无应答"))
        return LocalTransport().connect(host)


def retried(control: Control, transport: _Flaky, **options: object) -> tuple[list[Finding], dict[str, HostDone]]:
    inventory = clinic("flaky", "one", "two")
    events = list(
        stream(inventory, list(inventory.hosts.values()), [control], transport=transport, forks=1, **options)
    )  # type: ignore[arg-type]
    done = {event.host: event for event in events if isinstance(event, HostDone)}
    assert len(done) == 3
    return [event for event in events if isinstance(event, Finding)], done


def test_a_link_that_fails_is_tried_again_behind_all_others(control: MakeControl) -> None:
    transport = _Flaky(LinkFailed)
    findings, done = retried(control("host.run('true')"), transport)
    assert transport.order == ["flaky", "one", "two", "flaky"]
    assert [(f.host, f.verdict.value) for f in findings] == [("one", "pass"), ("two", "pass"), ("flaky", "pass")]
    assert {host: event.tries for host, event in done.items()} == {"flaky": 2, "one": 1, "two": 1}


def test_tries_have_an_end_and_are_told(control: MakeControl) -> None:
    transport = _Flaky(LinkFailed, failures=99)
    findings, done = retried(control("host.run('true')"), transport, retries=3)
    [finding] = [f for f in findings if f.host == "flaky"]
    assert (finding.verdict, done["flaky"].tries, transport.order.count("flaky")) == (Verdict.UNREACHABLE, 4, 4)
    assert "tried 4 times" in finding.text.en
    assert "共尝试 4 次" in finding.text.zh


def test_what_another_try_cannot_mend_is_not_tried_again(control: MakeControl) -> None:
    transport = _Flaky(HostUnreachable)
    findings, done = retried(control("host.run('true')"), transport, retries=3)
    assert transport.order == ["flaky", "one", "two"]
    assert done["flaky"].tries == 1
    assert next(f for f in findings if f.host == "flaky").verdict is Verdict.UNREACHABLE


def cut_once(folder: Path) -> str:
    """The body of a check whose link fails the first time, and which counts how often it was run."""
    return f"""
        host.run('true')
        mark = '{folder}/cut'
        if host.run('mkdir ' + mark).rc == 0:
            raise LinkFailed(says(en='lost', zh='中断'))
    """


def test_what_was_judged_before_the_link_failed_is_kept(control: MakeControl, tmp_path: Path) -> None:
    counts = f"host.run('echo . >> {tmp_path}/judged')"
    controls = [control(counts, "state_a"), control(cut_once(tmp_path), "state_b"), control(counts, "state_c")]
    inventory = clinic("here")
    result = judge(inventory, list(inventory.hosts.values()), controls, transport=LocalTransport())
    assert [(f.control, f.verdict.value) for f in result.findings] == [
        ("state_a", "pass"),
        ("state_b", "pass"),
        ("state_c", "pass"),
    ]
    assert (tmp_path / "judged").read_text() == ".\n.\n"


def test_another_machine_that_answers_the_second_time_is_not_believed(
    control: MakeControl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = iter(["the first", "another"])

    def told(host: Host, connection: ConnectedHost) -> Identity:
        return replace(identify(host, connection), machine=next(machines))

    monkeypatch.setattr(importlib.import_module("medsec.judge.judge"), "identify", told)
    controls = [control("host.run('true')", "state_a"), control(cut_once(tmp_path), "state_b")]
    inventory = clinic("here")
    findings = judge(inventory, list(inventory.hosts.values()), controls, transport=LocalTransport()).findings
    assert [f.verdict for f in findings] == [Verdict.PASS, Verdict.ERROR]
    assert "another machine answers" in findings[1].text.en


def test_a_site_is_asked_by_no_more_than_it_bears(control: MakeControl) -> None:
    names = [f"h-{number}" for number in range(6)]
    inventory = clinic(*names)
    hosts = [replace(host, groups=("far",)) for host in inventory.hosts.values()]
    running = Seen()

    class Counting:
        def connect(self, host: Host) -> ConnectedHost:
            running.work("far-" + host.name)
            return LocalTransport().connect(host)

    limited = replace(inventory, site_forks={"far": 2})
    judge(limited, hosts, [control("host.run('true')")], transport=Counting(), forks=6)
    assert running.most["far"] == 2
    assert len(running.done) == len(names)
