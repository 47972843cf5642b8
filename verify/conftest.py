"""The judge as pytest sees it.

    pytest verify --inventory=DIR                                           hosts, logins and sudo from the inventory
    pytest verify --inventory=DIR --hosts='paramiko://admin@10.66.1.20' --sudo   any backend of Testinfra

Tests are named by host and control, so `-k his-db-root_login_refused` picks one. A failure is a finding; an error says that
nothing was proven; a skip is a control that does not speak of the host or that its profile leaves out, an xfail is a waived failure.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import testinfra
import testinfra.backend

from medsec.catalogue.controls import Control, load_controls
from medsec.errors import MedsecError, UsageError
from medsec.evidence.plain import plain
from medsec.evidence.redaction import redacted
from medsec.inventory import Host, Inventory, effective, load_inventory
from medsec.inventory.profile import check_profiles
from medsec.inventory.waivers import load_waivers
from medsec.judge.applicability import applies_to
from medsec.judge.reach import ports
from medsec.judge.recording import ConnectedHost, connected
from medsec.judge.ssh import SshTransport
from medsec.judge.subjects import Site, Subject
from medsec.resources import root
from medsec.text import Language, says

# What an inspector looks for (item NW-01): clear-text logins, shares, remote desktops, databases, caches.
DANGER_PORTS = "21,23,111,135,137-139,445,512-515,873,1099,1433,1521,2049,2375,3306,3389,5432,5900-5910,6000-6010,6379,11211,27017"

# Characters of each command's output that are shown with a failure; `medsec verify` keeps all of it.
SHOWN = 1000

SITE = pytest.StashKey[Site]()


class Passes:
    """Counts what passed, so that a session in which nothing was judged does not look like success."""

    def __init__(self) -> None:
        self.count = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.count += report.when == "call" and report.outcome == "passed"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.OK and not session.config.option.collectonly and not self.count:
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("medsec")
    group.addoption(
        "--inventory", metavar="DIR", default="inventory", help="the site's inventory (default: ./inventory)"
    )
    group.addoption("--danger-ports", default=DANGER_PORTS, help="ports that must not answer unless registered")
    group.addoption(
        "--lang", choices=["zh", "en"], default=None, help="language of findings (default: from the locale)"
    )


def pytest_configure(config: pytest.Config) -> None:
    language: Language = config.option.lang or ("zh" if os.environ.get("LANG", "").startswith("zh") else "en")
    try:
        controls = load_controls(root() / "roles")
        inventory = load_inventory(Path(config.option.inventory))
        check_profiles(inventory, controls)
        config.stash[SITE] = Site(
            inventory=inventory,
            controls=list(controls.values()),
            waivers=load_waivers(inventory, controls),
            subjects=_subjects(config, inventory),
            danger_ports=ports(config.option.danger_ports),
            language=language,
            today=date.today(),
        )
    except MedsecError as error:
        raise pytest.UsageError(error.in_language(language)) from error
    config.pluginmanager.register(Passes())


def pytest_unconfigure(config: pytest.Config) -> None:
    if SITE in config.stash:
        for subject in config.stash[SITE].subjects:
            subject.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    site = metafunc.config.stash[SITE]
    names = set(metafunc.fixturenames)
    if {"subject", "control"} <= names:
        pairs = [(subject, control) for subject in site.subjects for control in site.controls]
        metafunc.parametrize(("subject", "control"), pairs, ids=[f"{s.host.name}-{c.id}" for s, c in pairs])
    elif {"subject", "listen"} <= names:
        listens = [(subject, listen) for subject in site.subjects for listen in subject.host.ledger.listens]
        ids = [f"{s.host.name}-{listen.port}/{listen.protocol}" for s, listen in listens]
        metafunc.parametrize(("subject", "listen"), listens, ids=ids)
    elif "subject" in names:
        metafunc.parametrize("subject", site.subjects, ids=[subject.host.name for subject in site.subjects])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tell each host which controls are asked for, so that it is asked for all of them at once.

    Of several workers (xdist) each would ask for all: there each asks for its own, one after the other.
    """
    if hasattr(session.config, "workerinput"):
        return
    inventory = session.config.stash[SITE].inventory
    for item in session.items:
        given = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        subject, control = given.get("subject"), given.get("control")
        if isinstance(subject, Subject) and isinstance(control, Control) and applies_to(control, subject.host):
            subject.wanted.append((control, effective(control, subject.host, inventory.ledger)))


@pytest.fixture(scope="session")
def site(pytestconfig: pytest.Config) -> Site:
    return pytestconfig.stash[SITE]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say in one line what went wrong, then show the commands behind it and what they answered."""
    report = yield
    if not report.failed:
        return report
    if call.excinfo is not None and isinstance(call.excinfo.value, MedsecError):
        error = call.excinfo.value
        notes = getattr(error, "__notes__", [])
        report.longrepr = "\n".join([error.in_language(item.config.stash[SITE].language), *notes])
    given = item.callspec.params if isinstance(item, pytest.Function) else {}
    subject = given.get("subject")
    if isinstance(subject, Subject) and subject.opened is not None:
        for record in subject.records if "control" in given else subject.opened.backend.records:
            head = f"exit code {record.rc} of: {' '.join(redacted(plain(record.command)).split())[:200]}"
            said = redacted(plain(record.stdout + record.stderr))
            report.sections.append((head, said if len(said) <= SHOWN else f"{said[:SHOWN]}\n[... {len(said)}]"))
    return report


def _subjects(config: pytest.Config, inventory: Inventory) -> list[Subject]:
    if config.option.hosts is None:
        transport = SshTransport()
        return [Subject(host, partial(transport.connect, host)) for host in inventory.hosts.values()]
    options = {
        name: getattr(config.option, name)
        for name in (
            "connection",
            "ssh_config",
            "ssh_identity_file",
            "sudo",
            "sudo_user",
            "ansible_inventory",
            "force_ansible",
        )
    }
    hint = "" if config.option.sudo else "Testinfra's backends take --sudo"
    subjects = []
    for spec in config.option.hosts.split(","):
        for found in testinfra.get_hosts([spec], **options):
            name = found.backend.get_hostname()
            host = _registered(name, inventory)
            subjects.append(Subject(host, partial(_open, spec, name, options), hint))
    return subjects


def _open(spec: str, name: str, options: dict[str, Any]) -> ConnectedHost:
    """Return a new connection to the host `name` of `spec` (which may name several, as ansible://all does)."""
    backends = testinfra.backend.get_backends([spec], **options)
    return connected(next(backend for backend in backends if backend.get_hostname() == name))


def _registered(name: str, inventory: Inventory) -> Host:
    for host in inventory.hosts.values():
        if name in (host.name, host.login.address, host.ledger.address):
            return host
    known = ", ".join(f"{host.name} ({host.login.address})" for host in inventory.hosts.values())
    raise UsageError(
        says(
            en=f"--hosts names {name!r}, which is not in the inventory {inventory.path}; registered: {known}",
            zh=f"--hosts 中的 {name!r} 不在主机清单 {inventory.path} 中；已登记：{known}",
        )
    )
