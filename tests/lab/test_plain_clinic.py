"""A clinic that nobody has hardened: every verdict reviewed one by one, and none of them green for lack of a tool or privilege."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from conftest import leased_index

from medsec.catalogue.controls import load_controls
from medsec.evidence.findings import Finding, Verdict
from medsec.inventory import Inventory, load_inventory
from medsec.judge.judge import judge
from medsec.lab import Lab
from medsec.resources import root

FAIL, PASS, ERROR, OTHER = Verdict.FAIL, Verdict.PASS, Verdict.ERROR, Verdict.NOT_APPLICABLE
UNSEEN = Verdict.NOT_SELECTED
DATABASES_ONLY = ("gateway", "his-app", "backup", "terminal-1", "terminal-2")
HOSTS = (*DATABASES_ONLY, "his-db")

# What each control must say of every plain host that it speaks of, and what a reviewer found that to rest on.
REVIEWED: dict[str, tuple[Verdict, str]] = {
    # The example's ledger registers no copy: nothing is said of any, and that is no pass.
    "backups_copied_off_server": (UNSEEN, "the ledger registers no copy"),
    "backups_offered_for_copy": (UNSEEN, "the ledger registers no copy"),
    "critical_files_protected": (FAIL, "/etc/ssh/sshd_config has mode 0644"),
    "database_backed_up_daily": (FAIL, "there is no backup file"),
    # Debian 12's own servers, in the image's newest versions; no database runs on the application server.
    "database_version_supported": (PASS, ""),
    # Spoken of on terminals and the database server; the latter's own clients are no finding.
    "database_clients_absent": (PASS, ""),
    "inbound_denied_by_default": (FAIL, "incoming IPv4 packets are not filtered"),
    "login_locked_after_failures": (FAIL, "no pam_faillock"),
    "logs_kept_six_months": (FAIL, "days"),
    # Debian gives MariaDB no certificate. The ledger lets his-app come, so that TLS must be there before it does.
    "mariadb_connections_encrypted": (FAIL, "it offers no TLS: a handshake with it came to nothing"),
    "mariadb_passwords_enforced": (FAIL, "simple_password_check is not loaded"),
    # Debian's own server is bound to loopback and has one administrator, by unix_socket.
    "mariadb_reached_by_ledger_only": (FAIL, "(/run/mysqld/mysqld.sock): local_infile is ON"),
    "mariadb_statements_audited": (FAIL, "server_audit is not loaded"),
    "password_quality_enforced": (FAIL, "weak passwords are accepted"),
    "postgresql_administrators_separated": (FAIL, "set_user is not loaded"),
    # Debian gives PostgreSQL a certificate of the host's own, and rules for loopback only.
    "postgresql_connections_encrypted": (PASS, ""),
    "postgresql_passwords_guarded": (FAIL, "weak passwords were taken when they were tried"),
    # Nobody but postgres has an account there yet, and PostgreSQL 15 keeps its schema public shut.
    "postgresql_privileges_limited": (PASS, ""),
    "postgresql_reached_by_ledger_only": (FAIL, "lets the superuser postgres in over the network"),
    "postgresql_statements_audited": (FAIL, "pgaudit is not loaded"),
    # The example's ledger declares no table of prices: none is watched, and that is no pass.
    "price_catalogue_unchanged": (UNSEEN, "the ledger declares no table of prices"),
    # The image holds nothing of the kind; TRUE_BECAUSE asks the package manager and the processes.
    "remote_control_software_absent": (PASS, ""),
    "root_login_refused": (FAIL, "permitrootlogin prohibit-password"),
    # The image's servers hold what their packages make; TRUE_BECAUSE lists it.
    "test_data_destroyed": (PASS, ""),
    "time_from_internal_source": (FAIL, "no time service runs"),
    "restore_drill_recent": (FAIL, "no restore drill is on record"),
    # Nothing forwards, nobody receives: Debian's rsyslog keeps what it is given.
    "statements_collected": (FAIL, "rsyslog does not listen on port 2514: nothing is collected"),
    "statements_reach_collector": (FAIL, "rsyslog has no connection to backup (10."),
    # A minimal Debian starts sshd alone, and a database server its databases, which the ledger registers.
    "unneeded_services_gone": (PASS, ""),
    "usb_storage_refused": (FAIL, "can be loaded"),
}
DATABASE = {
    "database_backed_up_daily",
    "postgresql_administrators_separated",
    "postgresql_passwords_guarded",
    "postgresql_privileges_limited",
    "postgresql_reached_by_ledger_only",
    "postgresql_statements_audited",
    "restore_drill_recent",
    "postgresql_connections_encrypted",
    "mariadb_connections_encrypted",
    "mariadb_passwords_enforced",
    "mariadb_reached_by_ledger_only",
    "mariadb_statements_audited",
}
# Where a control does not speak of a host.
SENT, KEPT = "statements_reach_collector", "statements_collected"
ELSEWHERE = {
    "backups_copied_off_server": tuple(host for host in HOSTS if host != "backup"),
    "backups_offered_for_copy": DATABASES_ONLY,
    **dict.fromkeys(DATABASE, DATABASES_ONLY),
    "database_clients_absent": ("gateway", "his-app", "backup"),
    "price_catalogue_unchanged": DATABASES_ONLY,
    "database_version_supported": ("gateway", "backup", "terminal-1", "terminal-2"),
    "test_data_destroyed": ("gateway", "backup"),
    SENT: DATABASES_ONLY,
    KEPT: tuple(host for host in HOSTS if host != "backup"),
}

# For each pass, a question of another kind than the check's, answered by nothing printed where the pass is deserved.
TRUE_BECAUSE = {
    "postgresql_privileges_limited": (
        "cd /; for database in postgres template1; do runuser -u postgres -- psql -AtX -d $database -c '\\du' -c '\\dn+'; done"
        " | grep -vE '^postgres[|]|^public[|]pg_database_owner[|]|^=U/pg_database_owner[|]'; true"
    ),
    "postgresql_connections_encrypted": (
        "ss -Hlnt 'sport = :5432' | grep -vE '127[.]0[.]0[.]1:|\\[::1\\]:';"
        " grep ^host /etc/postgresql/15/main/pg_hba.conf | grep -vE ' (127[.]0[.]0[.]1/32|::1/128) '; cd /;"
        " PGSSLMODE=require PGPASSWORD=no runuser -u postgres -- psql -wh 127.0.0.1 postgres 2>&1 | grep -iE 'not support|certificate|key'; true"
    ),
    "database_clients_absent": (
        "dpkg-query -Wf '${Package}\\n' | grep -iE 'navicat|dbeaver|datagrip|pgadmin|workbench|phpmyadmin|adminer';"
        " find /home /root /opt /srv -xdev | grep -iE 'navicat|dbeaver|sqlyog|plsqldev|heidisql';"
        " id postgres > /dev/null 2>&1 || command -v psql mysql mariadb sqlplus isql; true"
    ),
    # Younger than the last day of both series; apt simulates no upgrade of them; no process runs a program that is gone.
    "database_version_supported": (
        "[ $(date +%Y%m%d) -le 20271111 ] || echo the series has ended;"
        " apt-get -s dist-upgrade | grep -E '^Inst (postgresql|libpq|mariadb|libmariadb)';"
        " find /var/lib/apt/lists/ -name '*Packages*' -mtime +92;"
        " find /proc/[0-9]*/exe -lname '*(deleted)' 2> /dev/null;"
        " id postgres > /dev/null 2>&1 || ps -eo comm= | grep -E 'postgres|mariadbd|mysqld'; true"
    ),
    "remote_control_software_absent": (
        "dpkg-query -Wf '${Package}\\n' | grep -iE 'teamviewer|anydesk|rustdesk|todesk|vnc|xrdp|sunlogin|remmina';"
        " ps -eo comm= | grep -iE 'teamviewer|anydesk|rustdesk|todesk|vnc|xrdp|sunlogin'; true"
    ),
    "test_data_destroyed": (
        "find /home /root /srv /opt /tmp /var/tmp -xdev -name '*.sql*' -o -name '*.dmp*'; cd /;"
        " if id postgres > /dev/null 2>&1; then runuser -u postgres -- psql -XAtc"
        " 'SELECT datname FROM pg_database UNION SELECT rolname FROM pg_roles UNION SELECT nspname FROM pg_namespace';"
        " mariadb -NBe 'SELECT schema_name FROM information_schema.schemata UNION SELECT user FROM mysql.user'; fi |"
        " grep -iE 'test|demo|tmp|bak|copy|uat'; true"
    ),
    "unneeded_services_gone": (
        "ss -Hltunp | grep -vE '\"(sshd|postgres|mariadbd|systemd-resolve)\"';"
        " systemctl list-units --all --plain --no-legend 'rpcbind*' 'avahi*' 'telnet*' 'inetd*' 'xinetd*' 'vsftpd*'"
        " 'smbd*' 'nmbd*' 'cups*' | grep -v not-found; true"
    ),
}

ASKS_SYSTEMCTL = (
    "database_clients_absent",
    "inbound_denied_by_default",
    "logs_kept_six_months",
    "remote_control_software_absent",
    "time_from_internal_source",
    "unneeded_services_gone",
)

# What is taken away on which host, and the verdicts that must follow; every other verdict stays what it was.
AWAY = "mkdir -p /root/away; mv {} /root/away/"
TAKEN: dict[str, tuple[str, dict[str, Verdict]]] = {
    "gateway": (
        f"{AWAY.format('/usr/sbin/nft')}; {AWAY.format('/usr/bin/nsenter')}",
        {"inbound_denied_by_default": ERROR, "unneeded_services_gone": ERROR},
    ),
    # The daemon itself stays, or nobody could ask the host anything more; only its answers about its settings go.
    "his-app": (
        "cp -p /usr/sbin/sshd /usr/sbin/sshd.real; rm /usr/sbin/sshd\n"
        "printf '%s\\n' '#!/bin/sh' 'case \" $* \" in *\" -R \"*) exec /usr/sbin/sshd.real \"$@\" ;; esac' 'exit 127'"
        " > /usr/sbin/sshd; chmod 755 /usr/sbin/sshd",
        {"root_login_refused": ERROR},
    ),
    "his-db": (
        "mkdir -p /root/away; for f in $(find /usr -xdev -name psql -o -name mariadb -type f -o -name mysql -path '*bin*'); do"
        " mv $f /root/away/$(echo $f | tr / _); done",
        dict.fromkeys(
            (
                one
                for one in REVIEWED
                if one.startswith(("postgresql_", "mariadb_", "test_data", "database_version"))
            ),
            ERROR,
        ),
    ),
    "backup": (
        "apt-get -qq -y install chrony > /dev/null; systemctl is-active chrony; "
        + AWAY.format("/usr/bin/chronyc"),
        # chronyd listens on loopback for chronyc, which this ledger does not register.
        {"time_from_internal_source": ERROR, "unneeded_services_gone": FAIL},
    ),
    "terminal-1": (
        AWAY.format("/usr/bin/systemctl"),
        dict.fromkeys(ASKS_SYSTEMCTL, ERROR),
    ),
    "terminal-2": (
        "rm -f /etc/sudoers.d/*; if id -nG admin | grep -qw sudo; then gpasswd -d admin sudo; fi",
        dict.fromkeys((one for one in REVIEWED if "terminal-2" not in ELSEWHERE.get(one, ())), ERROR),
    ),
}

Verdicts = dict[tuple[str, str], Finding]


# One worker: the hosts are started once.
pytestmark = pytest.mark.xdist_group("plain")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with leased_index() as index, Lab("plain", index, owner=os.getpid()) as lab:
        lab.up()
        yield lab


@pytest.fixture(scope="module")
def inventory(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    folder = tmp_path_factory.mktemp("site") / "inventory"
    lab.write_inventory(folder)
    return load_inventory(folder)


@pytest.fixture(scope="module")
def plain(inventory: Inventory) -> Verdicts:
    return judged(inventory)


def judged(inventory: Inventory) -> Verdicts:
    controls = load_controls(root() / "roles")
    found = judge(inventory, list(inventory.hosts.values()), list(controls.values())).findings
    return {(finding.host, finding.control): finding for finding in found}


def test_every_verdict_is_the_reviewed_one(plain: Verdicts) -> None:
    assert {control for _, control in plain} == set(REVIEWED), "review the new control on a plain host, here"
    assert {host for host, _ in plain} == set(HOSTS)
    for (host, control), finding in plain.items():
        verdict, words = REVIEWED[control]
        if host in ELSEWHERE.get(control, ()):
            verdict, words = OTHER, ""
        assert finding.verdict is verdict, f"{control} on {host}: {finding.text}"
        assert words in finding.text.en, f"{control} on {host}: {finding.text}"


def test_every_pass_is_deserved(plain: Verdicts, lab: Lab) -> None:
    passes = {control for control, (verdict, _) in REVIEWED.items() if verdict is PASS}
    assert passes == set(TRUE_BECAUSE)
    for host in HOSTS:
        for control in passes:
            if host in ELSEWHERE.get(control, ()):
                continue
            assert plain[host, control].evidence, f"{control} on {host} asked the host nothing"
            answer = lab.host(host).run_as_root(TRUE_BECAUSE[control])
            assert (answer.returncode, answer.stdout) == (0, ""), f"{control} on {host}: {answer.stdout}"


def test_no_missing_tool_and_no_missing_privilege_gives_a_pass(
    plain: Verdicts, inventory: Inventory, lab: Lab
) -> None:
    for host, (script, _) in TAKEN.items():
        lab.host(host).run_as_root(f"set -e\n{script}", timeout=120).check_returncode()
    expected = {pair: finding.verdict for pair, finding in plain.items()}
    expected |= {(host, control): now for host, (_, blind) in TAKEN.items() for control, now in blind.items()}
    after = judged(inventory)
    wrong = [
        f"{control} on {host}: {now.verdict}, not {expected[host, control]}: {now.text}"
        for (host, control), now in after.items()
        if now.verdict is not expected[host, control]
    ]
    assert not wrong, "\n".join(wrong)
