"""A clock of its own: what no container can show, since it shares its machine's clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from medsec.evidence.findings import Verdict
from medsec.inventory import Inventory
from medsec.lab import Lab, LabHost
from tests import ledger_site as site

# One worker for all that need a virtual machine: it boots once for them all.
pytestmark = pytest.mark.xdist_group("vm")
CONTROL = "time_from_internal_source"


@pytest.fixture(scope="module")
def vm(lab: Lab) -> Iterator[LabHost]:
    """The clinic's virtual machine, booted once; emulation is costly also while nothing is asked of it."""
    [host] = lab.up(["kernel-1"])
    yield host
    host.backend.kill()


@pytest.fixture
def fresh(lab: Lab, vm: LabHost) -> LabHost:
    """The same machine as at the end of its first boot."""
    return lab.reset(vm.name)


@pytest.fixture
def inventory(lab: Lab, fresh: LabHost, tmp_path: Path) -> Inventory:
    console, *_ = site.console(fresh)
    sources = [console.partition("/")[0]]
    entries = {fresh.name: site.entry(fresh)}
    return site.write(
        tmp_path, lab, {fresh.name: fresh}, entries, {"management": site.console(fresh)}, time_sources=sources
    )


def deviation(host: LabHost) -> float:
    """Return by how many seconds the host's clock differs from this machine's."""
    before = time.time()
    told = float(host.ssh("date +%s.%N", timeout=180).stdout)
    return 0.0 if before <= told <= time.time() else min(abs(told - before), abs(told - time.time()))


def test_the_client_of_systemd_is_accepted_with_the_registered_source_only(
    fresh: LabHost, inventory: Inventory
) -> None:
    plain = site.verdict(inventory, CONTROL, fresh.name)
    assert plain.verdict is Verdict.FAIL
    assert "systemd-timesyncd follows sources that the ledger does not register: 0.debian.pool" in plain.text.en

    (source,) = inventory.ledger.time_sources
    fresh.run_as_root(
        f"mkdir -p /etc/systemd/timesyncd.conf.d; printf '[Time]\\nNTP={source}\\n' > /etc/systemd/timesyncd.conf.d/site.conf;"
        " systemctl restart systemd-timesyncd; sleep 40",
        timeout=180,
    ).check_returncode()
    found = site.verdict(inventory, CONTROL, fresh.name)
    assert found.verdict is Verdict.PASS, found.text
    for engine_name in ("pyinfra", "ansible"):
        outcome = site.remedy(inventory, CONTROL, [fresh.name], engine_name)[fresh.name]
        assert (outcome.failed, outcome.changed) == (None, 0)


@pytest.mark.parametrize("engine_name", ["pyinfra", "ansible"])
def test_a_wrong_clock_is_found_and_set_right(fresh: LabHost, inventory: Inventory, engine_name: str) -> None:
    outcome = site.remedy(inventory, CONTROL, [fresh.name], engine_name)[fresh.name]
    assert outcome.failed is None, outcome.failed
    found = site.verdict(inventory, CONTROL, fresh.name)
    assert found.verdict is Verdict.PASS, found.text

    fresh.run_as_root("date -s '+1 hour'; sleep 60", timeout=180).check_returncode()
    assert deviation(fresh) > 3000, "the clock must be wrong, or nothing is proven"
    found = site.verdict(inventory, CONTROL, fresh.name)
    assert found.verdict is Verdict.FAIL
    assert "the clock deviates from its source by" in found.text.en, found.text

    outcome = site.remedy(inventory, CONTROL, [fresh.name], engine_name)[fresh.name]
    assert outcome.failed is None, outcome.failed
    found = site.verdict(inventory, CONTROL, fresh.name)
    assert found.verdict is Verdict.PASS, found.text
    assert deviation(fresh) < 2
