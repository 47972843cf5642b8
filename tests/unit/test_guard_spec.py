"""What a host is told that controls may touch, and the patterns in it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from medsec.catalogue.controls import load_controls
from medsec.catalogue.patterns import depth, prefix, regex
from medsec.guard.spec import spec
from medsec.inventory import Params
from medsec.resources import root

CONTROLS = load_controls(root() / "roles")


@pytest.mark.parametrize(
    ("pattern", "where", "levels"),
    [
        ("/etc/hosts", "/etc/hosts", 0),
        ("/etc/pam.d/*", "/etc/pam.d", 1),
        ("/home/*/.*", "/home", 2),
        ("/etc/passwd*", "/etc", 1),
        ("/opt/**", "/opt", None),
        ("/var/**/.rhosts", "/var", None),
        ("/.*", "/", 1),
    ],
)
def test_a_pattern_is_looked_for_where_its_matches_can_be(pattern: str, where: str, levels: int | None) -> None:
    assert prefix(pattern) == where
    assert depth(pattern) == levels


@pytest.mark.parametrize("pattern", ["/a/*", "/a/**", "/a/**/.x", "/a/.*", "/a/b+c?(d)/*.e", "/a/[x]"])
def test_find_and_python_read_a_pattern_alike(tmp_path: Path, pattern: str) -> None:
    names = ["a/x", "a/.x", "a/b/.x", "a/b/c/.x", "a/.hidden", "a/b+cX(d)/f.e", "a/[x]", "a/axe"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    below = regex(str(tmp_path) + pattern)
    found = subprocess.run(
        ["find", tmp_path, "-regextype", "posix-extended", "-regex", below],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    expected = [str(path) for path in [tmp_path, *tmp_path.rglob("*")] if re.fullmatch(below, str(path))]
    assert sorted(found) == sorted(expected)
    assert found


@pytest.mark.parametrize("name", [name for name, control in CONTROLS.items() if control.enforce])
def test_every_control_tells_something_and_no_record_is_copied(name: str) -> None:
    control = CONTROLS[name]
    given = Params(control, {key: parameter.default for key, parameter in control.parameters.items()})
    lines = spec([(control, given)]).splitlines()
    assert lines
    assert all(line.split("\t")[1] == name for line in lines)
    assert not [line for line in lines if re.search(r"/var/lib/medsec(/|\t|$)", line) and line.startswith("find")]
