"""The timer that makes restore drills from the controller: systemd itself is asked whether it takes the units."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from medsec.drills.timer import units
from medsec.errors import UsageError


def verified(made: dict[str, str], folder: Path) -> str:
    """Return what `systemd-analyze verify` says of the units; a unit that is well says nothing."""
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
    paths = [folder / name for name in made]
    done = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True, check=False)
    return "".join(line for line in done.stderr.splitlines(True) if str(folder) in line or "medsec-drill" in line)


@pytest.mark.parametrize("name", ["clinic", "示范 诊所 100% $HOME \"a\" 'b'"])
def test_systemd_takes_the_units_of_any_folder(tmp_path: Path, name: str) -> None:
    site = tmp_path / name
    site.mkdir()
    made = units(site, site / "inventory", Path("/bin/echo"), "monthly")
    assert {Path(unit).suffix for unit in made} == {".service", ".timer"}
    assert verified(made, tmp_path) == ""
    broken = {unit: text.replace("ExecStart=", "ExecStart=nowhere ") for unit, text in made.items()}
    assert "nowhere" in verified(broken, tmp_path), "systemd-analyze says nothing of a broken unit either"


def test_two_sites_have_units_of_their_own(tmp_path: Path) -> None:
    names = [
        set(units(tmp_path / name, tmp_path, Path("/bin/echo"), "weekly"))
        for name in ("东院", "西院", "a b", "ab")
    ]
    assert len(set.union(*names)) == 8


@pytest.mark.parametrize("calendar", ["nonsense", "", "monthly\nExecStart=/bin/sh", "--help"])
def test_a_calendar_that_systemd_does_not_read_is_refused(tmp_path: Path, calendar: str) -> None:
    with pytest.raises(UsageError, match="accepted: monthly, weekly"):
        units(tmp_path, tmp_path / "inventory", Path("/bin/echo"), calendar)


def test_a_folder_that_no_unit_can_name_is_refused(tmp_path: Path) -> None:
    site = tmp_path / "two\nlines"
    site.mkdir()
    with pytest.raises(UsageError, match="move the site"):
        units(site, site / "inventory", Path("/bin/echo"), "monthly")
