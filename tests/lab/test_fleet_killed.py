"""The controller killed at random moments of a verification and resumed: no host's result is lost, none is there twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from medsec.evidence.reading import Run, list_runs, load_run
from medsec.inventory import Inventory
from medsec.lab import Lab
from tests.lab import fleet_site

KILLS = 30
NAMES = [f"n-{number:02}" for number in range(24)]
# Of the quick ones; two hosts at a time, so that a run goes on long enough to be killed in its middle.
COMMAND = [
    "verify", "--forks", "2", "-f", "json=report.json",
    "--control", "critical_files_protected", "--control", "root_login_refused",
]  # fmt: skip


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inventory]:
    host = lab.add_host("killed", kind="server")
    yield fleet_site.write(tmp_path_factory.mktemp("killed") / "inventory", lab, dict.fromkeys(NAMES, host))
    lab.remove_host(host.name)


def begin(folder: Path, *more: str) -> subprocess.Popen[bytes]:
    program = Path(sys.executable).with_name("medsec")
    with (folder / "said").open("wb") as said:
        return subprocess.Popen([program, *COMMAND, *more], cwd=folder, stdout=said, stderr=said)


def killed(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Kill it after `seconds`, as a power cut would; return whether it was still at work."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def proofs(run: Run) -> dict[str, list[str | None]]:
    """Return the digests of the evidence of each host that is complete."""
    done = run.complete_hosts()
    return {host: [entry.evidence_sha256 for entry in run.stored if entry.finding.host == host] for host in done}


def test_killed_at_random_moments_and_resumed(site: Inventory) -> None:
    folder = site.path.parent
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    whole = time.monotonic()
    assert begin(folder).wait(300) == 1, (folder / "said").read_text()
    whole = time.monotonic() - whole
    kills = inside = 0
    while kills < KILLS:
        known = set(list_runs(folder))
        path: Path | None = None
        proved: dict[str, list[str | None]] = {}
        while path is None or not load_run(path).finished:
            process = begin(folder, *([] if path is None else ["--resume", str(path)]))
            if kills < KILLS and killed(process, moments.uniform(0.3, whole)):
                kills += 1
            else:
                assert process.wait(300) == 1, (
                    f"seed {seed}, kill {kills}: {(folder / 'said').read_text()[-2000:]}"
                )
            path = next((fresh for fresh in list_runs(folder) if fresh not in known), None)
            now = {} if path is None else proofs(load_run(path))
            inside += 0 < len(now) < len(NAMES)
            # What was complete stays, as it was written.
            assert {host: now.get(host) for host in proved} == proved, f"seed {seed}, kill {kills}"
            proved = now
        whole_and_once(path)
    assert inside >= KILLS // 5, f"only {inside} of {kills} kills met a run in its middle (seed {seed})"


def whole_and_once(path: Path) -> None:
    run = load_run(path)
    assert sorted(proofs(run)) == NAMES
    assert len(run.findings) == 2 * len(NAMES)
    lines = (path / "hosts.jsonl").read_text(encoding="utf-8").splitlines()
    assert sorted(json.loads(line)["host"] for line in lines) == NAMES
    files = {str(file.relative_to(path)) for file in (path / "evidence").rglob("*") if file.is_file()}
    assert files == {entry.evidence_file for entry in run.stored}
