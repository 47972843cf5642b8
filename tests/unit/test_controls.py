"""The catalogue refuses what is incomplete, and says where."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from medsec.catalogue.controls import load_controls
from medsec.catalogue.selection import select
from medsec.errors import UsageError

ROOT = Path(__file__).parents[2]
EXEMPLAR = ROOT / "roles/ssh/controls/root_login_refused"


@pytest.fixture
def roles(tmp_path: Path) -> Path:
    """A roles folder with one whole control."""
    shutil.copytree(EXEMPLAR, tmp_path / "roles/ssh/controls/root_login_refused")
    return tmp_path / "roles"


def home(roles: Path) -> Path:
    return roles / "ssh/controls/root_login_refused"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def refused(roles: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load_controls(roles)
    assert caught.value.in_language("zh") != caught.value.in_language("en")
    return caught.value.in_language("en")


def test_every_shipped_control_is_whole() -> None:
    assert len(load_controls(ROOT / "roles")) >= 12


def test_a_whole_control_loads(roles: Path) -> None:
    assert list(load_controls(roles)) == ["root_login_refused"]


@pytest.mark.parametrize("file", ["check.py", "deploy.py", "tasks.yml"])
def test_a_missing_file_is_named(roles: Path, file: str) -> None:
    (home(roles) / file).unlink()
    assert f"{file} is missing" in refused(roles)


def test_a_missing_translation_is_refused(roles: Path) -> None:
    edit(home(roles) / "control.yml", "zh: 禁止 root 通过 SSH 直接登录, ", "")
    assert "title.zh" in refused(roles)


def test_a_misspelt_key_is_refused(roles: Path) -> None:
    edit(home(roles) / "control.yml", "severity:", "severety:")
    message = refused(roles)
    assert "severety" in message
    assert "severity" in message


def test_a_key_written_twice_is_refused(roles: Path) -> None:
    edit(home(roles) / "control.yml", "risk: access", "risk: access\nrisk: none")
    assert "written twice" in refused(roles)


def test_an_id_that_is_not_the_folder_is_refused(roles: Path) -> None:
    edit(home(roles) / "control.yml", "id: root_login_refused", "id: root_login_allowed")
    assert "folder's name" in refused(roles)


def test_a_duplicate_id_names_both_places(roles: Path) -> None:
    shutil.copytree(home(roles), roles / "accounts/controls/root_login_refused")
    message = refused(roles)
    assert "roles/ssh" in message
    assert "roles/accounts" in message


def test_one_violation_is_not_enough(roles: Path) -> None:
    for path in sorted(home(roles).glob("violate_*.sh"))[1:]:
        path.unlink()
    assert "at least two violate_" in refused(roles)


def test_a_compliant_variant_is_required(roles: Path) -> None:
    for path in home(roles).glob("comply_*.sh"):
        path.unlink()
    assert "comply_" in refused(roles)


def test_a_violation_must_say_what_it_expects(roles: Path) -> None:
    path = home(roles) / "violate_plain_debian.sh"
    edit(path, "# expect:", "# expects:")
    assert "violate_plain_debian.sh" in refused(roles)


def test_no_control_at_all_is_an_error(tmp_path: Path) -> None:
    assert "no control" in refused(tmp_path)


def test_an_unknown_control_is_answered_with_the_known_ones(roles: Path) -> None:
    with pytest.raises(UsageError, match="root_login_refused"):
        select(load_controls(roles), ids=["root_login"])


def test_selection_by_tag_and_item(roles: Path) -> None:
    controls = load_controls(roles)
    assert [c.id for c in select(controls, tags=["ssh"])] == ["root_login_refused"]
    assert [c.id for c in select(controls, items=["NW-10"])] == ["root_login_refused"]
    with pytest.raises(UsageError, match="NW-10"):
        select(controls, items=["NW-99"])


def test_no_id_begins_with_another() -> None:
    """Else a parameter of the one could be taken for a misspelt parameter of the other."""
    ids = list(load_controls(ROOT / "roles"))
    assert not [(a, b) for a in ids for b in ids if a != b and b.startswith(a + "_")]
