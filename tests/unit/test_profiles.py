"""A profile's selection of controls: what it leaves out is named and counted, and never looks like a pass."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from sample_run import make_run

from medsec.catalogue.controls import Control, Controls, load_controls
from medsec.catalogue.indexes import defaults, tasks
from medsec.errors import UsageError
from medsec.evidence.conclusion import ItemVerdict
from medsec.evidence.findings import Verdict
from medsec.inventory import Host, Inventory, load_inventory
from medsec.inventory.hosts import Login
from medsec.inventory.profile import check_profiles, why_not_selected
from medsec.judge.judge import judge
from medsec.judge.local import LocalTransport
from medsec.reports import html_report, json_report, junit_report, summary
from medsec.resources import root
from medsec.text import Language
from tests import engine_site as site


@pytest.fixture(scope="module")
def catalogue() -> Controls:
    return load_controls(root() / "roles")


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    return load_inventory(site.make_site(tmp_path_factory.mktemp("site"), {"one": {}}))


def host_with(clinic: Inventory, **variables: Any) -> Host:
    return Host("one", Login("127.0.0.1"), (), variables, clinic.hosts["one"].ledger)


def site_with(clinic: Inventory, **variables: Any) -> Inventory:
    return Inventory(clinic.path, {"one": host_with(clinic, **variables)}, clinic.ledger)


SELECTIONS: list[tuple[list[str] | None, set[str]]] = [
    (None, {"root_login_refused", "usb_storage_refused", "logs_kept_six_months"}),
    (["ssh"], {"root_login_refused"}),
    (["*_refused"], {"root_login_refused", "usb_storage_refused"}),
    (["*_refused", "!ssh"], {"usb_storage_refused"}),
    (["!ssh", "*_refused"], {"usb_storage_refused"}),
    (["!LG-0?"], {"root_login_refused", "usb_storage_refused"}),
    (["root_login_refused", "LG-02"], {"root_login_refused", "logs_kept_six_months"}),
    (["*", "!*_six_*", "!usb"], {"root_login_refused"}),
]
SELECTED = ("root_login_refused", "usb_storage_refused", "logs_kept_six_months")


@pytest.mark.parametrize(("entries", "selected"), SELECTIONS, ids=[str(entries) for entries, _ in SELECTIONS])
def test_ids_families_items_and_globs_select(
    clinic: Inventory, catalogue: Controls, entries: list[str] | None, selected: set[str]
) -> None:
    variables = {} if entries is None else {"medsec_controls": entries}
    host = host_with(clinic, **variables)
    check_profiles(site_with(clinic, **variables), catalogue)
    assert {name for name in SELECTED if why_not_selected(catalogue[name], host) is None} == selected


@pytest.mark.parametrize("entries", [entries for entries, _ in SELECTIONS], ids=str)
def test_plain_ansible_selects_the_same(clinic: Inventory, catalogue: Controls, entries: list[str] | None) -> None:
    """The conditions in the roles' generated indexes, asked of Ansible itself."""
    variables = {} if entries is None else {"medsec_controls": entries}
    host = host_with(clinic, **variables)
    by_family = itertools.groupby(catalogue.values(), key=lambda control: control.family)
    for _, members in by_family:
        assert_ansible_agrees(list(members), host, variables)


def assert_ansible_agrees(members: list[Control], host: Host, variables: dict[str, Any]) -> None:
    given = {
        name: _trusted(value) for name, value in yaml.safe_load(defaults(members)).items() if "wanted" in name
    }
    templar = Templar(loader=DataLoader(), variables={**given, **variables})
    entered = [task for task in yaml.safe_load(tasks(members)) if "when" in task]
    remedied = [control for control in members if control.enforce]
    for control, task in zip(remedied, entered, strict=True):
        conditions = [line for line in task["when"] if "wanted" in line]
        assert len(conditions) == 2
        met = all(templar.evaluate_conditional(_trusted(line)) for line in conditions)
        assert met is (why_not_selected(control, host) is None), control.id


def _trusted(text: str) -> str:
    trusted: str = trust_as_template(text)
    return trusted


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"medsec_controls": ["sshd"]}, ["'sshd'", "ssh", "root_login_refused"]),
        ({"medsec_controls": ["!telnet"]}, ["'!telnet'"]),
        ({"medsec_controls": []}, ["[]"]),
        ({"medsec_controls": ["!*"]}, ["!*"]),
        ({"medsec_controls": ["ssh", "!root_login_refused"]}, ["leaves no control"]),
        ({"medsec_controls": "ssh"}, ["'ssh'", "list"]),
        ({"medsec_controls": ["ssh", 3]}, ["list"]),
        ({"medsec_controls": ["!"]}, ["list"]),
        ({"medsec_control": ["ssh"]}, ["medsec_control ", "medsec_controls"]),
    ],
    ids=str,
)
def test_a_selection_that_would_not_do_what_it_says_is_refused(
    clinic: Inventory, catalogue: Controls, variables: dict[str, Any], named: list[str]
) -> None:
    with pytest.raises(UsageError) as refused:
        check_profiles(site_with(clinic, **variables), catalogue)
    for part in ("one", "medsec_controls", *named):
        assert part in str(refused.value)
    assert "主机 one" in refused.value.in_language("zh")


def test_the_judge_neither_judges_nor_passes_what_is_left_out(clinic: Inventory, tmp_path: Path) -> None:
    left_out = site.make_control(tmp_path, "a_door", path="/x")
    (left_out.home / "check.py").write_text("raise RuntimeError('must not be loaded')\n", encoding="utf-8")
    judged = site.make_control(tmp_path, "b_plain", path="/x")
    (judged.home / "check.py").write_text("def check(host, params): host.run('true')\n", encoding="utf-8")
    inventory = site_with(clinic, medsec_controls=["!a_*"])
    result = judge(inventory, list(inventory.hosts.values()), [left_out, judged], transport=LocalTransport())
    assert [finding.verdict for finding in result.findings] == [Verdict.NOT_SELECTED, Verdict.PASS]
    assert "!a_*" in result.findings[0].text.en
    assert "!a_*" in result.findings[0].text.zh
    assert (result.conclusion.planned, result.conclusion.applicable, result.exit_code) == (2, 1, 0)
    assert result.conclusion.items == {"NW-10": ItemVerdict.UNDETERMINED}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_report_counts_and_names_what_is_left_out(tmp_path: Path, language: Language) -> None:
    run = make_run(tmp_path, hosts=4, worst=False, left_out=("usb_storage_refused", "logs_kept"))
    value = json.loads(json.dumps(json_report(run)))
    assert value["totals"]["verdicts"]["not_selected"] == 6
    assert value["totals"]["applicable"] == value["totals"]["judged"] == 4 * 12 - 2 * 3 - 6
    items = {item["id"]: item for item in value["items"]}
    assert items["UM-01"]["verdict"] == "undetermined"
    assert items["UM-01"]["hosts"]["zd-001" if "zd-001" in run.hosts else "backup"] == "not_covered"
    screen = "\n".join(summary(run, language, columns=120))
    page = html_report(run, language)
    for text in (screen, page):
        for part in ("usb_storage_refused", "his-app", "未选用" if language == "zh" else "ot selected"):
            assert part in text
    assert junit_report(run, language).count("medsec_controls") == 6
    assert ("未选用 6 项次" if language == "zh" else "6 checks not selected") in screen


def test_an_unknown_control_in_a_group_stops_the_command_line_with_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from medsec_cli.main import main  # noqa: PLC0415

    folder = site.make_site(tmp_path / "inventory", {"one": {}}, medsec_controls=["sshd"])
    monkeypatch.chdir(tmp_path)
    for command in ("verify", "plan", "apply", "doctor"):
        monkeypatch.setattr(sys, "argv", ["medsec", "--lang", "zh", command, "-i", str(folder)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        assert "medsec_controls 中的 'sshd' 未对应任何控制项" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
