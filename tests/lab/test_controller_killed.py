"""The controller killed at random moments of an apply: hosts stay reachable, each control is wholly there or wholly not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from medsec.guard.journal import JOURNAL, read_journal
from medsec.lab import Lab, LabHost
from tests.lab import faults

MOMENTS = 10  # for each engine
AT_ONCE = 3
# One ordinary control, one that may lock out, both quick.
CONTROLS = ["--control", "critical_files_protected", "--control", "root_login_refused"]
OPEN = "cat /var/lib/medsec/guard/*/[0-9]*/state 2> /dev/null | grep -cx -e armed -e saved -e saving"


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> Iterator[list[LabHost]]:
    made = [lab.add_host(f"k-{number}", kind="server") for number in range(AT_ONCE)]
    yield made
    for host in made:
        lab.remove_host(host.name)


def apply(site: Path, tool: str) -> subprocess.Popen[bytes]:
    command = [Path(sys.executable).with_name("medsec"), "apply", "--yes", "-i", site, "--engine", tool, *CONTROLS]
    with (site / "said").open("wb") as said:
        return subprocess.Popen(command, cwd=site, stdout=said, stderr=said, start_new_session=True)


def one_kill(lab: Lab, host: LabHost, site: Path, tool: str, seconds: float, shut: list[float]) -> str:
    """Kill an apply after `seconds`; return what was wrong afterwards, or nothing, and note how long people were shut out."""
    faults.inventory(lab, host, site, medsec_guard_seconds=60)
    process = apply(site, tool)
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    killed = time.monotonic()
    with faults.watched(lab, host) as watch:
        problem = _unsettled(host, killed)
    shut.append(watch.shut)
    if problem:
        return problem
    if not watch.tries[-1][1] or watch.shut > faults.LONGEST:
        return f"nobody got in for {watch.shut:.0f} s"
    for journal in site.glob(f"runs/*/{JOURNAL}"):
        read_journal(journal.parent)
    again = apply(site, tool)
    code = again.wait(timeout=300)
    return "" if code == 0 else f"the second apply ended with {code}: {(site / 'said').read_text()[-1500:]}"


def _unsettled(host: LabHost, killed: float) -> str:
    while host.run_as_root(OPEN).stdout.strip() != "0":
        if time.monotonic() - killed > faults.LONGEST:
            return f"an open step remains: {host.run_as_root('grep -r . /var/lib/medsec/guard/*/[0-9]*/state').stdout}"
        time.sleep(1)
    return ""


@pytest.mark.parametrize("tool", ["ansible", "pyinfra"])
def test_killed_at_random_moments(lab: Lab, hosts: list[LabHost], tmp_path: Path, tool: str) -> None:
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    # How long a whole apply takes here and now tells among which moments to choose.
    whole = time.monotonic()
    faults.inventory(lab, hosts[0], tmp_path / "whole")
    assert apply(tmp_path / "whole", tool).wait(timeout=300) == 0, (tmp_path / "whole/said").read_text()
    whole = time.monotonic() - whole
    shut: list[float] = []
    chosen = [moments.uniform(0.3, whole * 1.5) for _ in range(MOMENTS)]

    def on_one_host(number: int) -> list[str]:
        wrong = []
        for turn, seconds in list(enumerate(chosen))[number::AT_ONCE]:
            host = lab.reset(hosts[number].name)
            problem = one_kill(lab, host, tmp_path / f"site-{turn}", tool, seconds, shut)
            if problem:
                wrong.append(f"killed after {seconds:.1f} of {whole:.1f} s (seed {seed}): {problem}")
        return wrong

    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        wrong = [line for lines in pool.map(on_one_host, range(AT_ONCE)) for line in lines]
    assert not wrong, "\n".join(wrong)
    faults.note(f"the controller killed at {MOMENTS} random moments", tool, max(shut))
