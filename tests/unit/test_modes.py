"""What is written on the controller: nobody else may change it, and what tells of weaknesses nobody else may read."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from sample_run import make_run

MAIN = [sys.executable, "-c", "from medsec_cli.main import main; main()", "--lang", "en"]


def modes(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode)
        for path in [folder, *folder.rglob("*")]
        if not path.is_symlink()
    }


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_nothing_that_medsec_writes_is_open_to_others(tmp_path: Path, umask: int) -> None:
    def medsec(*arguments: str) -> None:
        done = subprocess.run(
            [*MAIN, *arguments], cwd=tmp_path, umask=umask, capture_output=True, text=True, check=False
        )
        assert done.returncode in (0, 1, 3), done.stderr

    before = os.umask(umask)
    try:
        run = make_run(tmp_path, hosts=2).path
    finally:
        os.umask(before)
    medsec("init", "clinic")
    medsec("report", str(run), "-f", "html=report.html", "-f", "json=report.json", "-f", "junit=report.xml")
    found = modes(tmp_path / "clinic")
    assert len(found) > 5
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o022} == {}
    private = {name: mode for name, mode in modes(tmp_path).items() if name.startswith(("runs", "report"))}
    assert {"report.html", "report.json", "report.xml", f"runs/{run.name}/findings.jsonl"} <= set(private)
    assert {name: oct(mode) for name, mode in private.items() if mode & 0o077} == {}
