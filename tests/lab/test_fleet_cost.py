"""What a verification of the whole catalogue costs each kind of host: counted, since counts do not depend on the machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from medsec.catalogue.controls import load_controls
from medsec.engines.base import Work
from medsec.engines.registry import engine
from medsec.evidence.findings import Verdict
from medsec.inventory import Inventory
from medsec.judge import SshTransport, judge
from medsec.judge.applicability import applies_to
from medsec.lab import Lab, LabHost
from medsec.resources import root
from tests import ledger_site as site

pytestmark = pytest.mark.xdist_group("judge")

CONTROLS = load_controls(root() / "roles")


@dataclass(frozen=True)
class Most:
    """The most that a host may cost, above what was counted: by a hundredth for questions, since paths and random names differ
    from host to host, and by a tenth for answers, since machines differ in modules, mounts and processes."""

    commands: int
    bytes_up: int
    bytes_down: int


# Plain hosts as Debian installs them, and a database server in which everything that can be mended was: there the checks
# ask most. Where one of these is exceeded by a change that is worth it, say so with the new number.
MOST = {
    "terminal": Most(commands=37, bytes_up=21_500, bytes_down=51_000),
    "server": Most(commands=39, bytes_up=21_900, bytes_down=49_000),
    "db": Most(commands=62, bytes_up=29_300, bytes_down=66_000),
    # 20 kB are what a verify is to keep to; here two database products are asked, and each makes statements and tries passwords.
    "hardened": Most(commands=71, bytes_up=30_900, bytes_down=74_000),
}
# What a hardened server is known by: unless these pass, it is an untouched one that is counted.
HARDENED = {
    "login_locked_after_failures",
    "password_quality_enforced",
    "database_backed_up_daily",
    "mariadb_connections_encrypted",
    "mariadb_passwords_enforced",
    "mariadb_reached_by_ledger_only",
    "mariadb_statements_audited",
}
LOGINS, ROUND_TRIPS = 1, 4
ACCEPTED = "journalctl --sync; journalctl -q --no-pager -u ssh.service | grep -c 'Accepted publickey for admin'"


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> Iterator[dict[str, LabHost]]:
    kinds = {"terminal": "terminal", "server": "server", "db": "db", "hardened": "db"}
    made = {
        name: lab.add_host(f"cost-{name}", kind=kind, layer="db" if kind == "db" else None)  # type: ignore[arg-type]
        for name, kind in kinds.items()
    }
    yield made
    for host in made.values():
        lab.remove_host(host.name)


@pytest.fixture(scope="module")
def inventory(lab: Lab, hosts: dict[str, LabHost], tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    entries = {
        name: site.entry(host, runs=["postgresql", "mariadb"] if host.kind == "db" else [])
        for name, host in hosts.items()
    }
    sets = {"management": site.console(hosts["server"])}
    made = site.write(tmp_path_factory.mktemp("site"), lab, hosts, entries, sets)
    todo = [c.id for c in CONTROLS.values() if c.enforce and applies_to(c, made.hosts["hardened"])]
    engine("pyinfra").run(Work(made, CONTROLS, {"hardened": todo}, "apply"), lambda event: None)
    return made


@pytest.mark.parametrize("name", MOST)
def test_a_verification_costs_no_more_than_it_did(
    inventory: Inventory, hosts: dict[str, LabHost], name: str
) -> None:
    def logins() -> int:
        return int(hosts[name].run_as_root(ACCEPTED).stdout or 0)

    before = logins()
    transport = SshTransport()
    result = judge(inventory, [inventory.hosts[name]], list(CONTROLS.values()), transport=transport)
    traffic = transport.traffic[name]
    verdicts = {finding.verdict for finding in result.findings}
    assert not verdicts & {Verdict.ERROR, Verdict.UNREACHABLE}
    if name == "hardened":
        passed = {finding.control for finding in result.findings if finding.verdict is Verdict.PASS}
        assert passed >= HARDENED
    assert logins() - before == traffic.logins == LOGINS
    assert traffic.round_trips <= ROUND_TRIPS, traffic
    most = MOST[name]
    assert traffic.commands <= most.commands, traffic
    assert traffic.bytes_up < most.bytes_up, traffic
    assert traffic.bytes_down < most.bytes_down, traffic
