"""Where the lab cannot run, it says what to do instead."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medsec.lab import LabUnavailable, machine


def test_missing_tools_are_named_with_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tool in ("ip", "ssh", "ssh-keygen", "unshare", "nsenter", "setpriv"):
        found = shutil.which(tool, path=machine.environment()["PATH"])
        assert found
        (tmp_path / tool).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabUnavailable, match=r"apt-get install .*mmdebstrap.*systemd-container") as met:
        machine.require()
    assert "Vagrantfile" in str(met.value)
    assert "apt-get install" in met.value.in_language("zh")


def test_without_root_the_user_is_told() -> None:
    program = (
        "import os\n"
        "from medsec.lab import machine\n"
        "os.setgroups([])\nos.setgid(65534)\nos.setuid(65534)\n"
        "try:\n    machine.require()\nexcept machine.LabUnavailable as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(machine.__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "must be run as root" in done.stdout, done.stderr
    assert "vagrant up" in done.stdout
