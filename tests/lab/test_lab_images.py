"""The image cache: never half an image, never two builds of the same."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from medsec.lab import LabError, machine
from medsec.lab.definition import load
from medsec.lab.images import Images, remove_halves

_BUILD = """
import sys
from pathlib import Path
from medsec.lab.definition import load
from medsec.lab.images import Images
class Small(Images):
    def repository(self, suite):
        return Path(sys.argv[1])
print(Small(load()).repository_disk("bookworm"))
"""


@pytest.fixture
def content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that a real recipe makes a disk of, in a cache of the test's own."""
    monkeypatch.setenv("MEDSEC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "repository/debs").mkdir(parents=True)
    for number in range(20):
        (tmp_path / f"repository/debs/{number}").write_bytes(bytes([number]) * 2_000_000)
    return tmp_path / "repository"


def _start(content: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _BUILD, str(content)],
        cwd=Path(machine.__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _await(true: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_processes_that_want_the_same_image_build_it_once(content: Path) -> None:
    builders = [_start(content) for _ in range(4)]
    outputs = [builder.communicate() for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0, 0, 0], outputs
    assert len({output for output, _ in outputs}) == 1
    image = Path(outputs[0][0].strip())
    born = image.stat()
    again = _start(content)
    assert again.communicate()[0].strip() == str(image)
    assert (image.stat().st_ino, image.stat().st_mtime_ns) == (born.st_ino, born.st_mtime_ns)
    assert [path.name for path in machine.image_cache().glob("*") if path.is_dir()] == [image.parent.name]


def test_a_build_that_was_killed_is_no_image_and_is_made_again(content: Path) -> None:
    builder = _start(content)
    _await(lambda: list(machine.image_cache().glob(".*.building")))
    builder.kill()
    builder.communicate()
    assert [path.name for path in machine.image_cache().glob("[!.]*")] == []
    _await(lambda: remove_halves() or not list(machine.image_cache().glob(".*.building")))
    assert list(machine.image_cache().glob(".*.building")) == []
    again = _start(content)
    assert Path(again.communicate()[0].strip()).is_file()


def test_an_image_is_named_by_what_it_is_made_of(content: Path, tmp_path: Path) -> None:
    first = Images(load()).repository
    del first
    one, _ = _start(content).communicate()
    other = tmp_path / "other"
    other.mkdir()
    (content / "debs").rename(other / "debs")
    two, _ = _start(other).communicate()
    assert one.strip() and two.strip() and one != two


def test_a_package_that_the_release_lacks_stops_the_build_and_is_named() -> None:
    definition = load()
    wrong = definition.model_copy(
        update={"repository": definition.repository.model_copy(update={"all": ("acl", "no-such-package")})}
    )
    with pytest.raises(LabError, match="packages that this release does not have: no-such-package"):
        Images(wrong).repository("bookworm")
