"""What the search for dumps finds in a real folder, and what it says when it could not search."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
import testinfra
import yaml
from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.probes import data_names, postgresql
from medsec.resources import root

SUFFIXES = ["sql", "sql.gz", "dmp"]


@pytest.fixture
def local() -> Host:
    return testinfra.get_host("local://")


def found(local: Host, folder: Path, depth: int = 8, homes: tuple[str, ...] = ()) -> dict[str, str]:
    """Return what is found below `folder`: the name by the path behind it."""
    _, names = data_names.dumps(local, [str(folder), "/no/such/folder"], depth, homes, SUFFIXES)
    return {os.path.relpath(entry.label, folder): entry.name for entry in names}


def test_dumps_are_found_by_their_suffix_and_named_without_it(local: Host, tmp_path: Path) -> None:
    for name in ("Test_his.SQL.gz", "his copy's.sql", "his.test.sql", "notes.txt", "sql"):
        (tmp_path / name).touch()
    (tmp_path / "folder.sql").mkdir()
    assert found(local, tmp_path) == {
        "Test_his.SQL.gz": "Test_his",
        "his copy's.sql": "his copy's",
        "his.test.sql": "his.test",
    }


def test_the_backups_home_and_what_lies_deeper_is_left_out(local: Host, tmp_path: Path) -> None:
    for name in ("backup/a.sql", "one/b.sql", "one/two/c.sql"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert found(local, tmp_path, depth=2, homes=(f"{tmp_path}/backup",)) == {"one/b.sql": "b"}


def test_a_search_that_did_not_finish_is_no_answer(local: Host, tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="did not finish"):
        data_names.dumps(local, [str(tmp_path)], -1, [], SUFFIXES)


def test_a_server_that_tells_no_schema_does_not_hide_behind_another(
    local: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = ['["his", "database his"]', '["public", "schema his.public"]']
    # What two servers answered stands here in place of two servers, one of which breaks off in the middle.
    monkeypatch.setattr(postgresql, "answers", lambda *_: [("one", {"names": told}), ("two", {"names": told[:1]})])
    with pytest.raises(ProbeError):
        data_names.of_postgresql(local)
    monkeypatch.setattr(postgresql, "answers", lambda *_: [("one", {"names": told})])
    assert [name.name for name in data_names.of_postgresql(local) or []] == ["his", "public"]


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("his_test", True),
        ("his-TEST", True),
        ("his.bak", True),
        ("his_bak_20240101", True),
        ("his_test2", True),
        ("医保测试库", True),
        ("attestations", False),
        ("laboratory_tests", False),
        ("lab_test_results", False),
        ("latest", False),
    ],
)
def test_names_mean_test_data_however_their_words_are_parted(name: str, taken: bool) -> None:
    folder = root() / "roles/database/controls/test_data_destroyed"
    spec = importlib.util.spec_from_file_location("test_data_destroyed", folder / "check.py")
    assert spec is not None and spec.loader is not None
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    patterns = yaml.safe_load((folder / "control.yml").read_text(encoding="utf-8"))["parameters"]["patterns"][
        "default"
    ]
    assert check._like_test_data(data_names.Name(name, name), patterns) is taken
