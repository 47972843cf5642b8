"""The controller's record of changes: nothing lost by a crash, nothing taken back twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medsec.errors import UsageError
from medsec.guard.journal import JOURNAL, Entry, Journal, read_journal
from medsec.guard.rollback import _chosen, _standing
from medsec.guard.session import Change
from medsec.guard.settings import Settings, settings
from medsec.inventory import load_inventory
from tests import engine_site

CHANGE = Change("path", "a_door", "/etc/x", "absent", "file 644 0:0 e3b0")


def entry(step: str, state: str, *controls: str, host: str = "h", changes: tuple[Change, ...] = ()) -> Entry:
    return Entry(host, step, state, list(controls), "ansible", list(changes))


def test_it_reads_back_what_was_written_in_its_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run" / JOURNAL)
    journal.add(entry("01", "saved", "a_door"))
    journal.add(entry("01", "recorded", "a_door", changes=(CHANGE,)))
    found = read_journal(tmp_path / "run")
    assert [(one.step, one.state) for one in found] == [("01", "saved"), ("01", "recorded")]
    assert found[1].changes == [CHANGE]
    assert found[0].time <= found[1].time
    assert (tmp_path / "run" / JOURNAL).stat().st_mode & 0o777 == 0o600


def test_a_line_that_a_crash_cut_short_hides_no_other(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    Journal(path).add(entry("01", "saved", "a_door"))
    path.write_bytes(path.read_bytes() + b'{"host": "h", "st')
    Journal(path).add(entry("01", "recorded", "a_door"))
    assert [one.state for one in read_journal(tmp_path)] == ["saved", "recorded"]


def test_a_full_disk_is_an_error_and_no_silent_loss(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        Journal(tmp_path / JOURNAL).add(entry("01", "saved", "a_door"))


def test_a_run_that_changed_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="changed nothing"):
        read_journal(tmp_path)


def test_what_was_taken_back_already_does_not_stand() -> None:
    standing = _standing(
        [
            entry("01", "saved", "a", "b"),
            entry("01", "recorded", "a", "b"),
            entry("02", "saved", "c"),
            entry("02", "reverted", "c"),
            entry("03", "saved", "d"),
            entry("01", "rolled-back", "a"),
        ]
    )
    assert [(one.step, one.state, one.controls) for one in standing["h"]] == [
        ("01", "recorded", ["b"]),
        ("03", "saved", ["d"]),
    ]


def test_the_newest_step_is_taken_back_first_and_only_what_was_asked_for() -> None:
    steps = [entry("01", "recorded", "a", "b"), entry("02", "confirmed", "c")]
    assert [(one.step, wanted) for one, wanted in _chosen(steps, [])] == [("02", ["c"]), ("01", ["a", "b"])]
    assert [(one.step, wanted) for one, wanted in _chosen(steps, ["b"])] == [("01", ["b"])]


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"medsec_guard_seconds": "90"}, "medsec_guard_seconds: '90'; a whole number from 20 to 3600"),
        ({"medsec_guard_seconds": 5}, "from 20 to 3600"),
        ({"medsec_guard_keep": True}, "medsec_guard_keep: True"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(tmp_path: Path, variables: dict[str, Any], told: str) -> None:
    site = load_inventory(engine_site.make_site(tmp_path / "site", {"one": {}}, **variables))
    with pytest.raises(UsageError, match="host one: medsec_guard_") as error:
        settings(site.hosts["one"])
    assert told in str(error.value)


def test_settings_have_defaults_and_a_site_may_differ(tmp_path: Path) -> None:
    site = load_inventory(engine_site.make_site(tmp_path / "site", {"one": {}}, medsec_guard_seconds=300))
    assert settings(site.hosts["one"]) == Settings(seconds=300, keep=10)
