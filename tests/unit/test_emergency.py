"""Emergency exercises: thresholds to the minute, times that do not lie, records that show what was changed."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from medsec_cli.main import build, main

from medsec.drills.exercise import SESSION, Exercise, Moment, given_time, jumped, told_time
from medsec.drills.exercise_record import Standing, faults, finish, judged, listed, missing, rendered
from medsec.drills.record import RECORD, SUMS, load
from medsec.drills.scenario import Due, names, read_scenario, scenario, scenarios
from medsec.errors import MedsecError, UsageError

ROOT = Path(__file__).parents[2]
NAMES = {"zh": "示范诊所", "en": "Example clinic"}
NOW = datetime.now(UTC)


def begun(site: Path, name: str = "insurance_line_down") -> Exercise:
    return Exercise.begin(site, scenario(name), NAMES)


def tell(exercise: Exercise, **minutes: float) -> None:
    """Record steps, at so many minutes after a time three days ago."""
    for step, minute in minutes.items():
        moment = NOW - timedelta(days=3) + timedelta(minutes=minute)
        exercise.step(step, "王建国", time=moment, given=True)


def standing(exercise: Exercise) -> dict[str, Standing]:
    return {entry.step.id: entry.standing for entry in judged(exercise)}


def whole(exercise: Exercise) -> None:
    """An exercise in which everything came in time and nothing had to go manual."""
    tell(exercise, noticed=0, class_decided=5, carrier_told=8, agency_told=9, service_back=20, restart_told=25)
    tell(exercise, important_entered=26, all_entered=27, report_made=28)
    exercise.conclude("可行")


@pytest.mark.parametrize(
    ("minutes", "back", "expected"),
    [
        (30, 40, (Standing.IN_TIME, 0)),
        (30.01, 40, (Standing.LATE, 1)),
        (45, 60, (Standing.LATE, 15)),
        (None, 30, (Standing.SPARED, 0)),
        # Nobody went manual, and the service came a minute too late to spare it.
        (None, 31, None),
    ],
)
def test_thirty_minutes_to_the_minute(
    tmp_path: Path, minutes: float | None, back: float, expected: tuple[Standing, int] | None
) -> None:
    exercise = begun(tmp_path)
    tell(exercise, noticed=0)
    if minutes is not None:
        tell(exercise, manual_outpatient=minutes)
    tell(exercise, service_back=back)
    found = {entry.step.id: (entry.standing, entry.late_minutes) for entry in judged(exercise)}
    assert found.get("manual_outpatient") == expected
    assert ("manual_outpatient" in [step.id for step in exercise.left()]) == (expected is None)


@pytest.mark.parametrize(("step", "hours"), [("manual_wards", 6), ("manual_everywhere", 24)])
def test_six_and_twenty_four_hours(tmp_path: Path, step: str, hours: int) -> None:
    exercise = begun(tmp_path)
    tell(exercise, noticed=0)
    tell(exercise, **{step: hours * 60 + 3})
    assert [(entry.standing, entry.late_minutes) for entry in judged(exercise) if entry.step.id == step] == [
        (Standing.LATE, 3)
    ]


def test_back_entry_is_due_by_calendar_days() -> None:
    back = datetime(2026, 11, 22, 23, 50).astimezone()
    assert Due(after="x", days=0).by(back) == datetime(2026, 11, 22, 23, 59, 59).astimezone()
    assert Due(after="x", days=1).by(back) == datetime(2026, 11, 23, 23, 59, 59).astimezone()


def test_the_source_plans_thresholds_are_in_every_scenario() -> None:
    found = scenarios()
    assert list(found) == names()
    assert set(found) == {"insurance_line_down", "his_database_down", "ransomware", "power_failure"}
    for one in found.values():
        due = {step.id: step.due for step in one.steps if step.due is not None}
        assert [due[f"manual_{name}"].minutes for name in ("outpatient", "wards", "everywhere")] == [30, 360, 1440]
        assert [due[name].days for name in ("important_entered", "all_entered", "report_made")] == [0, 1, 2]
        assert "service_back" in one.model_dump_json()


REFUSED = [
    ({"noticed": 60 * 24 * 4}, "lies in the future"),
    ({"class_decided": 5}, "counts from noticed, which has no time yet"),
    ({"noticed": 10, "class_decided": 5}, "is before noticed"),
    ({"noticed": 0, "service_back": 30, "restart_told": 20}, "is before service_back"),
    ({"noticed": 0, "no_such_step": 5}, "steps: noticed, class_decided"),
]


@pytest.mark.parametrize(("minutes", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_times_that_cannot_be_are_refused(tmp_path: Path, minutes: dict[str, float], said: str) -> None:
    exercise = begun(tmp_path)
    with pytest.raises(UsageError, match=said):
        tell(exercise, **minutes)


def test_what_is_recorded_stays(tmp_path: Path) -> None:
    exercise = begun(tmp_path)
    tell(exercise, noticed=0)
    with pytest.raises(UsageError, match="recorded already"):
        tell(exercise, noticed=1)
    with pytest.raises(UsageError, match="name a person"):
        exercise.step("class_decided", " ")
    with pytest.raises(UsageError, match="an owner and a day from today on"):
        exercise.improve("更快", "王建国", "2020-01-01")


@pytest.mark.parametrize("text", ["noon", "25:00", "2026-13-01", "", "10"])
def test_what_is_no_time_is_told_with_what_is_accepted(text: str) -> None:
    with pytest.raises(UsageError, match="2026-11-22T10:05"):
        given_time(text)


def test_a_clock_that_is_set_neither_wins_nor_loses_time() -> None:
    last = Moment(NOW, 1000.0, "a")
    set_back = Moment(NOW - timedelta(hours=1), 1060.0, "a")
    assert jumped(last, set_back) == pytest.approx(-3660)
    assert told_time(NOW, last, set_back) == NOW + timedelta(seconds=60)
    steady = Moment(NOW + timedelta(seconds=61), 1060.0, "a")
    assert jumped(last, steady) == 0
    # After a restart of the controller there is only the wall clock.
    with pytest.raises(UsageError, match="set the clock right"):
        told_time(NOW, last, Moment(NOW - timedelta(seconds=1), 5.0, "b"))


def test_closed_and_gone_on_with(tmp_path: Path) -> None:
    exercise = begun(tmp_path)
    tell(exercise, noticed=0)
    with pytest.raises(UsageError, match="another process has this exercise open"):
        Exercise.resume(exercise.folder)
    exercise.close()
    again = Exercise.resume(exercise.folder)
    assert standing(again) == {"noticed": Standing.DONE}
    tell(again, class_decided=16)
    assert standing(again)["class_decided"] is Standing.LATE
    again.close()
    # A crash in the middle of a line costs that line.
    with (exercise.folder / SESSION).open("a", encoding="utf-8") as stream:
        stream.write('{"kind": "st')
    third = Exercise.resume(exercise.folder)
    assert set(standing(third)) == {"noticed", "class_decided"}
    third.note("继续")
    third.close()


def test_an_event_that_was_changed_is_seen(tmp_path: Path) -> None:
    exercise = begun(tmp_path)
    tell(exercise, noticed=0, class_decided=16)
    exercise.close()
    path = exercise.folder / SESSION
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([lines[0], lines[1].replace("王建国", "李晓红"), *lines[2:]]), encoding="utf-8")
    with pytest.raises(UsageError, match="was changed since it was written"):
        Exercise.resume(exercise.folder)


def test_the_record_of_one_in_which_all_was_in_time(tmp_path: Path) -> None:
    exercise = begun(tmp_path)
    whole(exercise)
    assert missing(exercise) == []
    folder = finish(exercise)
    value = load(folder)
    assert value["outcome"] == "passed"
    assert value["previous"] is None
    assert "各项时限均已达到" in (folder / "record.zh.txt").read_text(encoding="utf-8")
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert [entry.outcome for entry in listed(tmp_path)] == ["passed"]


def test_what_was_late_or_left_out_needs_an_improvement(tmp_path: Path) -> None:
    exercise = begun(tmp_path)
    tell(exercise, noticed=0, class_decided=5, carrier_told=8, agency_told=45, service_back=46, restart_told=47)
    tell(exercise, important_entered=48, all_entered=49)
    exercise.skip("manual_outpatient", "窗口未接到通知")
    exercise.skip("report_made", "桌面演练")
    exercise.conclude("需改进")
    assert {entry.step.id for entry in faults(exercise)} == {"agency_told", "manual_outpatient", "report_made"}
    with pytest.raises(UsageError):
        finish(exercise)
    exercise.improve("通知改为电话群呼", "王建国", "2099-01-01")
    assert load(finish(exercise))["outcome"] == "failed"
    shown = rendered(exercise, "zh")
    for words in (
        "超时 15 分钟",
        "未执行",
        "窗口未接到通知",
        "通知改为电话群呼",
        "吉医保规〔2025〕4号 第三十五条",
    ):
        assert words in shown


def test_records_hang_together(tmp_path: Path) -> None:
    folders = []
    for _ in range(2):
        exercise = begun(tmp_path)
        whole(exercise)
        folders.append(finish(exercise))
        exercise.close()
    folders.sort()
    by_id = {entry.id: entry.outcome for entry in listed(tmp_path)}
    assert set(by_id.values()) == {"passed"}
    linked = next(folder for folder in folders if load(folder)["previous"] is not None)
    other = next(folder for folder in folders if folder != linked)
    # Somebody makes the older record anew, with digests that fit.
    value = json.loads((other / RECORD).read_text(encoding="utf-8"))
    text = json.dumps(value | {"conclusion": "完美"}, ensure_ascii=False)
    (other / RECORD).write_text(text, encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    sums = (other / SUMS).read_text(encoding="utf-8").splitlines()
    (other / SUMS).write_text(
        "".join(f"{digest}  {RECORD}\n" if line.endswith(RECORD) else f"{line}\n" for line in sums),
        encoding="utf-8",
    )
    assert {entry.id: entry.outcome for entry in listed(tmp_path)}[linked.name] == "damaged"
    (other / SUMS).write_text("".join(f"{line}\n" for line in sums), encoding="utf-8")
    with pytest.raises(MedsecError):
        load(other)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"title": {"zh": "x"}}, "title.en"),
        ({"steps": []}, "steps"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_scenario_of_the_sites_own_is_read_strictly(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    value = yaml.safe_load((ROOT / "standards/emergency/ransomware.yml").read_text(encoding="utf-8"))
    path = tmp_path / "own.yml"
    path.write_text(yaml.safe_dump(value | change, allow_unicode=True), encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        read_scenario(path)


# --- The command line -------------------------------------------------------------------------------------------------


@dataclass
class Said:
    """What a call of the command line gave."""

    code: int
    out: str
    err: str


class Cli:
    """Calls `medsec drill` in this process, from a folder of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys
        monkeypatch.chdir(folder)

    def __call__(self, *words: str, typed: str = "") -> Said:
        inventory = ["-i", str(ROOT / "inventory")] if "list" not in words else []
        self.monkeypatch.setattr(sys, "argv", ["medsec", "--lang", "en", "drill", *words, *inventory])
        self.monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            main()
        captured = self.capsys.readouterr()
        return Said(int(ended.value.code or 0), captured.out, captured.err)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    return Cli(monkeypatch, capsys, tmp_path)


BAD = [
    (("--scenario", "flood"), "insurance_line_down"),
    ((), "--scenario or --resume"),
    (("--scenario", "ransomware", "--event", "noticed"), "manual_outpatient=2026-11-22T10:05"),
    (("--scenario", "ransomware", "--event", "noticed=soon,A"), "2026-11-22T10:05"),
    (("--scenario", "ransomware", "--event", "notised=00:00,A"), "noticed, hosts_isolated"),
    (("--scenario", "ransomware", "--event", "noticed=2999-01-01T00:00,A"), "lies in the future"),
    (("--scenario", "ransomware", "--event", "noticed=2020-01-02T00:00,A", "--event", "leaders_told=2020-01-01T00:00,A"), "run backwards"),
    (("--scenario", "ransomware", "--improve", "faster"), "TEXT;"),
    (("--resume", "20200101T000000Z-000000"), "medsec drill list"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "named"), BAD, ids=[named for _, named in BAD])
def test_bad_input_begins_nothing(cli: Cli, tmp_path: Path, words: tuple[str, ...], named: str) -> None:
    done = cli("emergency", *words)
    assert done.code == 2, done.out + done.err
    assert named in done.err
    assert list(tmp_path.glob("drills/*")) == []


def test_back_filled_from_a_file(cli: Cli, tmp_path: Path) -> None:
    day = (datetime.now() - timedelta(days=5)).date().isoformat()
    steps = ["noticed", "class_decided", "carrier_told", "agency_told", "manual_outpatient", "service_back"]
    steps += ["restart_told", "important_entered", "all_entered", "report_made"]
    events = [{"step": step, "time": f"{day}T10:{3 * at:02}", "person": "王建国"} for at, step in enumerate(steps)]
    file = tmp_path / "told.yml"
    file.write_text(yaml.safe_dump({"events": events, "conclusion": "可行"}, allow_unicode=True), encoding="utf-8")
    done = cli("emergency", "--scenario", "insurance_line_down", "--events-file", str(file))
    assert done.code == 0, done.out + done.err
    (folder,) = tmp_path.glob("drills/*")
    assert load(folder)["outcome"] == "passed"
    shown = cli("list")
    assert f"{folder.name}\temergency\tinsurance_line_down\tpassed" in shown.out
    (folder / "record.zh.txt").write_text("完美", encoding="utf-8")
    spoilt = cli("list")
    assert spoilt.code == 1
    assert "CHANGED" in spoilt.out


def test_guided_left_and_gone_on_with(cli: Cli, tmp_path: Path) -> None:
    # Noticed by the first owner, then put aside.
    first = cli("emergency", "--scenario", "insurance_line_down", typed="\n1\nq\n")
    assert first.code == 3, first.out + first.err
    (folder,) = tmp_path.glob("drills/*")
    assert "who reported (1 王建国" in first.out
    # Three steps, then the service is back before anybody goes manual; one is left out.
    typed = (
        "\n1\n\n李工\nn\n对方已受理\n\n赵科长\nb\n\n1\n\n1\n\n1\n\n1\ns\n桌面演练\n补上报告\n1\n2099-01-01\n可行\n"
    )
    second = cli("emergency", "--resume", folder.name, typed=typed)
    assert second.code == 1, second.out + second.err
    value = load(folder)
    found = {step["id"]: step["standing"] for step in value["steps"]}
    assert found["manual_outpatient"] == found["manual_wards"] == "spared"
    assert found["report_made"] == "skipped"
    assert value["notes"] == ["对方已受理"]
    assert value["improvements"] == [{"text": "补上报告", "owner": "王建国", "due": "2099-01-01"}]
    assert all(step["by_clock"] for step in value["steps"])


def test_both_verbs_are_offered() -> None:
    drill = build("en").commands["drill"]
    assert {"restore", "emergency", "list"} <= set(drill.commands)  # type: ignore[attr-defined]
