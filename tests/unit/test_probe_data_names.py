"""What the search for dumps finds in a real folder, and what it says when it could not search."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.probes import data_names, postgresql

SUFFIXES = ["sql", "sql.gz", "dmp"]


@pytest.fixture
def local() -> Host:
    return testinfra.get_host("local://")


def found(local: Host, root: Path, depth: int = 8, homes: tuple[str, ...] = ()) -> dict[str, str]:
    """Return what is found below `root`: the name by the path behind `root`."""
    _, names = data_names.dumps(local, [str(root), "/no/such/folder"], depth, homes, SUFFIXES)
    return {os.path.relpath(entry.label, root): entry.name for entry in names}


def test_dumps_are_found_by_their_suffix_and_named_up_to_the_first_dot(local: Host, tmp_path: Path) -> None:
    for name in ("Test_his.SQL.gz", "his copy's.sql", "notes.txt", "sql"):
        (tmp_path / name).touch()
    (tmp_path / "folder.sql").mkdir()
    assert found(local, tmp_path) == {"Test_his.SQL.gz": "Test_his", "his copy's.sql": "his copy's"}


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
