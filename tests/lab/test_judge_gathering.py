"""Asking all checks of a host together: what it costs, and that it changes no answer, verdict or piece of evidence."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from functools import partial

import pytest

from medsec.catalogue.controls import load_controls
from medsec.inventory import Host, Inventory, effective
from medsec.judge import SshTransport
from medsec.judge.applicability import applies_to
from medsec.judge.courses import Courses, shipped
from medsec.judge.examining import Examined, examine
from medsec.judge.identity import identify
from medsec.judge.recording import ConnectedHost
from medsec.lab import Lab
from medsec.resources import root
from tests import ledger_site as site

pytestmark = pytest.mark.xdist_group("judge")

CONTROLS = load_controls(root() / "roles")
# States in which the checks ask more than of a fresh host: logins and passwords are tried, daemons asked for their age.
COMPLY = (
    "accounts/controls/login_locked_after_failures/comply_own_conf.sh",
    "accounts/controls/password_quality_enforced/comply_drop_in.sh",
    "ssh/controls/root_login_refused/comply_drop_in.sh",
)
# What no two askings of one host have in common; nothing else may differ.
VOLATILE = (
    (r"\buid=6[0-9]{4}\b", "uid=UID"),  # of the accounts that are tried
    (r"\b[mn][bcdfghjklmnpqrstvwxz]{8}\b", "ACCOUNT"),
    (r"\b[0-9a-f]{24}\b", "SECRET"),
    (r"(?m)^(now=|tls\tnow\t)[0-9]+$", r"\1TIME"),
    (r"(?i)\bsession[- ][0-9]+", "SESSION"),
)
VOLATILE_OF = {
    # The passwords that are tried, one a line behind the account's name, and the account's own before.
    "password_quality_enforced": (
        (r"(?<= ACCOUNT )\S+(?=\n|'\n|'\")", "PASSWORD"),
        (r"\bcurrent=.*", "current=PASSWORD"),
    ),
    # When a daemon started is counted back from now, in whole seconds.
    "root_login_refused": ((r"(?m)^[0-9]{10}$", "TIME"),),
    # The host's own time, from which the age of a drill is counted.
    "restore_drill_recent": ((r"(?m)^host\t[0-9]{10}\t", "host\tTIME\t"),),
    # The journal grows between the two; its newest records are what the host wrote last.
    "logs_kept_six_months": (
        (
            r"(?m)^(now|started|oldest|used|auth-record=|login-record=|system-record=|  Now:|disk [0-9]+ [0-9]+ ?).*$",
            r"\1",
        ),
    ),
}
# They list processes, and in both ways of asking there are others that ask: those that are in one list only are left
# out by their number. Of the passwords that are tried side by side, the first to be done is told first.
LISTS_PROCESSES = (
    "database_clients_absent",
    "login_locked_after_failures",
    "remote_control_software_absent",
    "unneeded_services_gone",
)
IN_ANY_ORDER = ("password_quality_enforced",)
PROCESS = re.compile(r"(?:/proc/)?([0-9]+)(?=$|[\t/ ])")


@pytest.fixture(scope="module")
def inventory(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inventory]:
    """`plain`, a database server as it was installed, and `hard`, a server in which the access controls hold."""
    hosts = {
        "plain": lab.add_host("gather-plain", kind="db", layer="db"),
        "hard": lab.add_host("gather-hard", kind="server"),
    }
    for script in COMPLY:
        text = (root() / "roles" / script).read_text(encoding="utf-8")
        done = hosts["hard"].run_as_root(text)
        assert done.returncode == 0, (script, done.stderr)
    entries = {
        "plain": site.entry(hosts["plain"], runs=["postgresql", "mariadb"]),
        "hard": site.entry(hosts["hard"]),
    }
    sets = {"management": site.console(hosts["hard"])}
    yield site.write(tmp_path_factory.mktemp("site"), lab, hosts, entries, sets)
    for host in hosts.values():
        lab.remove_host(host.name)


def one_by_one(connection: ConnectedHost) -> None:
    """Take from the connection what makes it ask many at once: Testinfra's own way is left."""
    backend = connection.backend.inner
    backend.exchange = None


def look(inventory: Inventory, host: Host, transport: SshTransport, *, together: bool) -> dict[str, Examined]:
    jobs = [
        (control, effective(control, host, inventory.ledger))
        for control in CONTROLS.values()
        if applies_to(control, host)
    ]
    connection = transport.connect(host)
    if not together:
        one_by_one(connection)
    try:
        found = examine(connection, jobs, seconds=180, courses=Courses(shipped()), gate=partial(identify, host))
        return {one.control.id: one for one in found}
    finally:
        connection.close()


def settled(control: str, text: str) -> str:
    for pattern, name in (*VOLATILE, *VOLATILE_OF.get(control, ())):
        text = re.sub(pattern, name, text)
    return text


def outputs(control: str, *texts: str) -> tuple[str, str]:
    first, second = (settled(control, text).splitlines() for text in texts)
    if control in IN_ANY_ORDER:
        first, second = sorted(first), sorted(second)
    if control in LISTS_PROCESSES:
        here, there = (
            {found.group(1) for line in lines if (found := PROCESS.match(line))} for lines in (first, second)
        )
        first, second = (
            [line for line in lines if not (found := PROCESS.match(line)) or found.group(1) in here & there]
            for lines in (first, second)
        )
    return "\n".join(first), "\n".join(second)


def differences(one: Examined, other: Examined) -> Iterator[str]:
    name = one.control.id
    if one.outcome.verdict is not other.outcome.verdict:
        yield f"{name}: {one.outcome.verdict} {other.outcome.verdict}"
    texts = [(settled(name, one.outcome.text.zh), settled(name, other.outcome.text.zh))]
    if len(one.records) != len(other.records):
        yield f"{name}: {len(one.records)} and {len(other.records)} commands"
    for mine, theirs in zip(one.records, other.records, strict=False):
        if mine.rc != theirs.rc:
            yield f"{name}: exit codes {mine.rc} {theirs.rc}"
        texts += [(settled(name, mine.command), settled(name, theirs.command))]
        texts += [(settled(name, mine.stderr), settled(name, theirs.stderr))]
        texts += [outputs(name, mine.stdout, theirs.stdout)]
    for mine_text, their_text in texts:
        for line in difflib.unified_diff(mine_text.splitlines(), their_text.splitlines(), lineterm="", n=0):
            if not line.startswith(("---", "+++", "@@")):
                yield f"{name}: {line}"


@pytest.mark.parametrize("name", ["plain", "hard"])
def test_hosts_say_the_same_together_and_one_by_one(inventory: Inventory, name: str) -> None:
    host, transport = inventory.hosts[name], SshTransport()
    together = look(inventory, host, transport, together=True)
    traffic = transport.traffic[name]
    alone = look(inventory, host, SshTransport(), together=False)
    assert together.keys() == alone.keys()
    found = [line for control, one in alone.items() for line in differences(together[control], one)]
    assert not found, "\n".join(found[:100])
    # One for the identity and what checks are known to ask, one for what follows from its answers. More says that the
    # words of a check changed: `python -m medsec.judge.learning RUN...` writes courses.json anew.
    assert traffic.frames == 2, traffic
    assert traffic.commands <= sum(len(one.records) for one in together.values()) + 12, "asked ahead in vain"
