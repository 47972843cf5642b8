"""Names in an inventory that a shell, a path, a terminal or an option parser would read: refused, in one harmless line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from medsec.errors import UsageError
from medsec.inventory import load_inventory
from tests import engine_site as site

HOSTILE = [
    "-oProxyCommand=touch x",
    "--limit",
    "a;touch x",
    "$(touch x)",
    "`touch x`",
    "a b",
    "../up",
    "a/b",
    "a\\b",
    ".hidden",
    "a\x1b[2Jb",
    "a\x1b]0;owned\x07",
    "a\nb",
    "a\u202eb",
    "'a'",
    "{{ 7*7 }}",
    "x" * 64,
    "主" * 64,
]
STEERING = {"\x1b", "\x07", "\u202e", "\r", "\n"}
TAKEN = ["his-db", "收费-01", "10.66.1.20", "a", "A_b.c", "x" * 63, "主" * 63]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_hostile_host_name_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    folder = site.make_site(tmp_path / "site", {name: {"ansible_host": "127.0.0.1"}})
    with pytest.raises(UsageError) as caught:
        load_inventory(folder)
    told = caught.value.in_language("en")
    # Ansible reads brackets as a range, here an empty one.
    assert ("host name" in told and "accepted are" in told) or ("[" in name and "names no host" in told)
    assert not set(told + caught.value.in_language("zh")) & STEERING


def test_nothing_of_it_reaches_the_terminal_or_the_machine(tmp_path: Path) -> None:
    names = ["a\x1b]0;owned\x07", "$(touch x)", "-oProxyCommand=touch x"]
    folder = site.make_site(tmp_path / "site", {name: {"ansible_host": "127.0.0.1"} for name in names})
    done = subprocess.run(
        [sys.executable, "-c", "from medsec_cli.main import main; main()", "--lang", "en", "verify", "-i", str(folder)],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("medsec: ")
    assert not set(done.stderr) & (STEERING - {"\n"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site"]


@pytest.mark.parametrize("name", TAKEN, ids=ascii)
def test_ordinary_names_are_taken_chinese_ones_too(tmp_path: Path, name: str) -> None:
    folder = site.make_site(tmp_path / "site", {name: {"ansible_host": "127.0.0.1"}})
    assert list(load_inventory(folder).hosts) == [name]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ansible_host", "-oProxyCommand=touch x"),
        ("ansible_host", "10.66.1.1 x"),
        ("ansible_host", "a;b"),
        ("ansible_host", "a\nb"),
        ("ansible_user", "-l"),
        ("ansible_user", "root;x"),
        ("ansible_user", "a b"),
        ("ansible_user", "a\x1b[2J"),
    ],
    ids=ascii,
)
def test_a_hostile_login_is_refused_by_its_variable(tmp_path: Path, variable: str, value: str) -> None:
    folder = site.make_site(tmp_path / "site", {"one": {variable: value}})
    with pytest.raises(UsageError) as caught:
        load_inventory(folder)
    for language in ("en", "zh"):
        told = caught.value.in_language(language)  # type: ignore[arg-type]
        assert variable in told
        assert "one" in told
        assert not set(told) & {"\x1b", "\n"}


def test_names_that_stand_side_by_side_keep_evidence_of_their_own(tmp_path: Path) -> None:
    """The longest Chinese name still fits into a file name."""
    from medsec.evidence.store import _file_name  # noqa: PLC0415

    names = [_file_name(name) for name in TAKEN]
    assert len(set(names)) == len(names)
    for name in names:
        (tmp_path / name).mkdir()
