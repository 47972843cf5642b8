"""The clock of a host jumps while a risky change waits to be confirmed: the way in comes back all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from medsec.guard.journal import read_journal
from medsec.lab import Lab, LabHost
from tests.lab import faults
from tests.lab.test_faults import HARM

# One worker for all that need a virtual machine; a container has its machine's clock, which nobody may set.
pytestmark = pytest.mark.xdist_group("vm")

FILES = "find /etc/ssh /etc/systemd/system -type f -exec sha256sum {} + | sort"


@pytest.fixture
def fresh(lab: Lab) -> Iterator[LabHost]:
    lab.up(["kernel-1"])
    yield lab.reset("kernel-1")
    lab.host("kernel-1").backend.kill()


@pytest.mark.parametrize(("jump", "tool"), [("+400 days", "ansible"), ("-400 days", "pyinfra")])
def test_a_jump_of_the_clock_neither_hastens_nor_stops_the_timer(
    lab: Lab, fresh: LabHost, tmp_path: Path, jump: str, tool: str
) -> None:
    harm, files, units = HARM["a wrong AllowUsers"]
    inventory = faults.inventory(lab, fresh, tmp_path / "site", medsec_guard_seconds=60)
    control = faults.control(tmp_path / "roles", f"date --set '{jump}' > /dev/null; {harm}; sleep 6", files, units)
    before = fresh.run_as_root(FILES, timeout=180).stdout
    now = int(fresh.run_as_root("date +%s", timeout=180).stdout)
    run = tmp_path / "runs/20261122T000000Z-aaaaaa"
    with faults.watched(lab, fresh) as watch:
        faults.run_apply(faults.select(inventory, control), tool, run)
    faults.settled(fresh, run.name)
    assert any(not inside for _, inside in watch.tries), "the fault shut nobody out: it proves nothing"
    assert watch.tries[-1][1]
    assert watch.shut <= faults.LONGEST
    faults.note(f"the clock jumps by {jump.removeprefix('+')}", tool, watch.shut)
    assert [entry.state for entry in read_journal(run)] == ["saved", "reverted"]
    assert before
    assert fresh.run_as_root(FILES, timeout=180).stdout == before
    after = int(fresh.run_as_root("date +%s", timeout=180).stdout)
    assert abs(after - now) > 300 * 86400, "the clock was not moved: it proves nothing"
