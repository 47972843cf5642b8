"""A site that has chosen one of Mitogen's strategies for Ansible."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from medsec.catalogue.controls import load_controls
from medsec.engines.base import Event, Status, Work
from medsec.engines.registry import engine
from medsec.evidence.findings import Verdict
from medsec.inventory import Inventory
from medsec.judge import judge
from medsec.lab import Lab, LabHost
from medsec.resources import root
from tests.lab import faults

CONTROLS = load_controls(root() / "roles")
# They use packages, units, templates, scripts, handlers and loops.
TODO = [
    "critical_files_protected",
    "login_locked_after_failures",
    "logs_kept_six_months",
    "password_quality_enforced",
    "root_login_refused",
]
# How Ansible itself becomes root, and how Mitogen does: the host's own journal tells which of them it was.
BY_ANSIBLE, BY_MITOGEN = "BECOME-SUCCESS", "python3 -c 'import sys;sys.path="


def test_one_engine_changes_by_mitogen_and_neither_way_changes_again(
    lab: Lab, fresh_host: Callable[..., LabHost], tmp_path: Path
) -> None:
    host = fresh_host()
    inventory = faults.inventory(lab, host, tmp_path / "site")
    chosen = inventory.path / "ansible.cfg"
    chosen.write_text(f"[defaults]\nstrategy_plugins = {_plugins()}\nstrategy = mitogen_free\n", encoding="utf-8")
    assert _changes(inventory, host) > 0
    assert BY_MITOGEN in _become(host)
    assert BY_ANSIBLE not in _become(host)
    controls = [CONTROLS[name] for name in TODO]
    found = judge(inventory, list(inventory.hosts.values()), controls).findings
    assert {finding.control: finding.verdict for finding in found} == dict.fromkeys(TODO, Verdict.PASS)
    assert _changes(inventory, host) == 0
    chosen.unlink()
    assert _changes(inventory, host) == 0
    assert BY_ANSIBLE in _become(host)


def test_a_host_that_is_not_there_is_said_to_be_unreachable(
    lab: Lab, fresh_host: Callable[..., LabHost], tmp_path: Path
) -> None:
    host = fresh_host()
    inventory = faults.inventory(lab, host, tmp_path / "site")
    (inventory.path / "ansible.cfg").write_text(
        f"[defaults]\nstrategy_plugins = {_plugins()}\nstrategy = mitogen_free\n", encoding="utf-8"
    )
    lab.stop(host.name)
    done = engine("ansible").run(Work(inventory, CONTROLS, {host.name: TODO}, "apply"), lambda event: None)
    assert host.name in done.unreachable
    assert all(outcome.failed and not outcome.finished for outcome in done.outcomes.values())


def _plugins() -> Path:
    found = find_spec("ansible_mitogen")
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0], "plugins/strategy")


def _changes(inventory: Inventory, host: LabHost) -> int:
    events: list[Event] = []
    done = engine("ansible").run(Work(inventory, CONTROLS, {host.name: TODO}, "apply"), events.append)
    assert all(outcome.finished for outcome in done.outcomes.values()), done.outcomes
    return sum(event.status is Status.CHANGED for event in events)


def _become(host: LabHost) -> str:
    return host.run_as_root("journalctl --sync; journalctl -q --no-pager -o cat _COMM=sudo").stdout
