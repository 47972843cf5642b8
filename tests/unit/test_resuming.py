"""Going on with a run that was cut short: nothing lost, nothing doubled, and only where nothing else was asked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from medsec.catalogue.standards import load_standards
from medsec.errors import MedsecError, UsageError
from medsec.evidence.reading import Run, RunDamaged, load_run
from medsec.evidence.store import RunStore
from medsec.inventory import load_inventory
from medsec.inventory.waivers import Resolved, Waiver, Waivers
from medsec.judge import LocalTransport
from medsec.judge.verifying import verify
from medsec.resources import root
from tests import engine_site as site

NAMES = ("one", "two", "three")
Change = Callable[[dict[str, Any]], None]


class Stop(Exception):
    """Whatever stops a run."""


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, Any]:
    """What a verification is given."""
    made = [site.make_control(tmp_path / "roles", name, path=f"/{name}") for name in ("a_first", "b_second")]
    for control in made:
        (control.home / "check.py").write_text(
            f"def check(host, params):\n    host.run('echo {control.id} >> {tmp_path}/judged')\n", encoding="utf-8"
        )
    folder = site.make_site(tmp_path / "site", {name: {} for name in NAMES})
    inventory = load_inventory(folder)
    return {
        "inventory": inventory,
        "hosts": list(inventory.hosts.values()),
        "controls": made,
        "site": tmp_path,
        "standards": load_standards(root() / "standards"),
        "catalogue": tmp_path,
        "transport": LocalTransport(),
        "forks": 1,
    }


def cut_short(asked: dict[str, Any], *, after: int) -> Path:
    """Begin a run and stop it when `after` findings have come; return its folder."""
    left = after

    def stop(_: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise Stop

    with pytest.raises(Stop):
        verify(**asked, on_finding=stop)
    [path] = (asked["site"] / "runs").iterdir()
    assert not load_run(path).finished
    return path


def whole(run: Run) -> None:
    assert run.finished
    assert [(f.host, f.control, f.verdict.value) for f in run.findings] == [
        (host, control, "pass") for host in NAMES for control in ("a_first", "b_second")
    ]
    assert run.complete_hosts() == set(NAMES)
    assert run.conclusion.exit_code == 0
    lines = (run.path / "hosts.jsonl").read_text(encoding="utf-8").splitlines()
    assert sorted(json.loads(line)["host"] for line in lines) == sorted(NAMES)


@pytest.mark.parametrize("after", [1, 2, 3, 5])
def test_only_hosts_without_a_whole_result_are_judged_again(asked: dict[str, Any], after: int) -> None:
    path = cut_short(asked, after=after)
    kept = {entry.finding.host: entry.evidence_sha256 for entry in load_run(path).stored}
    done = load_run(path).complete_hosts()
    run = verify(**asked, resume=path)
    whole(run)
    assert run.path == path
    again = {entry.finding.host: entry.evidence_sha256 for entry in run.stored}
    assert {host for host in kept if again[host] == kept[host]} == done
    [resumed] = run.header.resumed
    assert resumed.operator == run.header.operator


def test_a_run_can_be_cut_short_again_and_again(asked: dict[str, Any]) -> None:
    path = cut_short(asked, after=1)
    for _ in range(2):
        with pytest.raises(Stop):
            verify(**asked, resume=path, on_host=lambda _: (_ for _ in ()).throw(Stop))
    whole(verify(**asked, resume=path))


@pytest.mark.parametrize("half", ["findings.jsonl", "hosts.jsonl"])
def test_a_line_that_was_half_written_is_written_anew(asked: dict[str, Any], half: str) -> None:
    path = cut_short(asked, after=4)
    with (path / half).open("a", encoding="utf-8") as stream:
        stream.write('{"host": "two", "cont')
    whole(verify(**asked, resume=path))


@pytest.mark.parametrize("change", ["emptied", "missing"])
def test_a_host_whose_proof_a_power_cut_took_is_judged_again(asked: dict[str, Any], change: str) -> None:
    path = cut_short(asked, after=5)
    proof = path / "evidence/one/a_first.json"
    proof.write_bytes(b"") if change == "emptied" else proof.unlink()
    run = verify(**asked, resume=path)
    assert run.finished
    assert run.complete_hosts() == set(NAMES)
    assert len(run.evidence(run.stored[0])) == 1


def test_a_run_that_only_lacks_its_end_gets_it(asked: dict[str, Any]) -> None:
    run = verify(**asked)
    header = run.header.model_copy(update={"finished": None})
    (run.path / "run.json").write_text(header.model_dump_json(by_alias=True), encoding="utf-8")
    (asked["site"] / "judged").unlink()
    whole(verify(**asked, resume=run.path))
    assert not (asked["site"] / "judged").exists()


def fewer_hosts(asked: dict[str, Any]) -> None:
    asked["hosts"] = asked["hosts"][:2]


def fewer_controls(asked: dict[str, Any]) -> None:
    asked["controls"] = asked["controls"][:1]


def another_parameter(asked: dict[str, Any]) -> None:
    asked["hosts"][0].variables["a_first_text"] = "other"


def another_address(asked: dict[str, Any]) -> None:
    host = asked["hosts"][0]
    asked["hosts"][0] = replace(host, login=replace(host.login, port=2222))


def another_selection(asked: dict[str, Any]) -> None:
    asked["hosts"][0].variables["medsec_controls"] = ["!a_first"]


def another_check(asked: dict[str, Any]) -> None:
    with (asked["controls"][0].home / "check.py").open("a", encoding="utf-8") as stream:
        stream.write("# another\n")


def a_waiver(asked: dict[str, Any]) -> None:
    waiver = Waiver(
        control="a_first",
        hosts=["one"],
        reason="r",
        owner="o",
        approver="a",
        compensation=["c"],
        expires=date(2099, 1, 1),
    )
    asked["waivers"] = Waivers([Resolved(waiver, frozenset({"one"}))])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (fewer_hosts, "hosts"),
        (fewer_controls, "controls"),
        (another_parameter, "parameters"),
        (another_address, "the inventory"),
        (another_selection, "the inventory"),
        (another_check, "the catalogue"),
        (a_waiver, "waivers"),
    ],
)
def test_a_run_is_not_mixed_with_what_it_did_not_begin_with(
    asked: dict[str, Any], change: Change, named: str
) -> None:
    path = cut_short(asked, after=3)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    change(asked)
    with pytest.raises(UsageError, match="began with other values") as refusal:
        verify(**asked, resume=path)
    assert named in str(refusal.value)
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_a_complete_run_is_refused(asked: dict[str, Any]) -> None:
    run = verify(**asked)
    with pytest.raises(UsageError, match="is complete"):
        verify(**asked, resume=run.path)


def test_a_folder_that_holds_no_run_stays_as_it_is(asked: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunDamaged):
        verify(**asked, resume=tmp_path / "empty")
    assert not list((tmp_path / "empty").iterdir())


def test_a_run_that_another_process_writes_is_left_to_it(asked: dict[str, Any]) -> None:
    path = cut_short(asked, after=3)
    script = (
        "import sys; from pathlib import Path; from medsec.evidence.store import RunStore\n"
        "store = RunStore.reopen(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root()
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(MedsecError, match="another process"):
            verify(**asked, resume=path)
    finally:
        holder.communicate()
    whole(verify(**asked, resume=path))


def test_a_run_in_progress_cannot_be_opened_twice(asked: dict[str, Any]) -> None:
    def look(_: object) -> None:
        [path] = (asked["site"] / "runs").iterdir()
        with pytest.raises(UsageError, match="another process"):
            RunStore.reopen(path)

    verify(**asked, on_finding=look)
