"""What MariaDB's controls leave alone: the HIS's accounts and connections, whatever state they are in; and servers set up oddly."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from medsec.evidence.findings import Finding, Verdict
from medsec.inventory import Inventory
from medsec.lab import Lab, LabHost
from tests import ledger_site as site

pytestmark = pytest.mark.xdist_group("mariadb")

ACCESS, AUDIT, PASSWORDS = (
    "mariadb_reached_by_ledger_only",
    "mariadb_statements_audited",
    "mariadb_passwords_enforced",
)
CONTROLS = (ACCESS, AUDIT, PASSWORDS)
SECRET = "Zhu-2026-yuan"
# The HIS comes from anywhere, with a password that nobody has changed for years; a supplier works as root over the network, now.
BUSY = f"""
set -eu
printf '[mysqld]\\nbind-address = 0.0.0.0\\n' > /etc/mysql/mariadb.conf.d/99-his.cnf
systemctl restart mariadb
mariadb << 'SQL'
CREATE DATABASE his; CREATE TABLE his.fee (id INT PRIMARY KEY); INSERT INTO his.fee VALUES (1);
CREATE USER his@'%' IDENTIFIED BY '{SECRET}'; GRANT ALL ON his.* TO his@'%';
UPDATE mysql.global_priv SET Priv = JSON_SET(Priv, '$.password_last_changed', 1000000000) WHERE User = 'his';
CREATE USER root@'%' IDENTIFIED BY '{SECRET}'; GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
CREATE USER boss@'10.%' IDENTIFIED BY '{SECRET}'; GRANT ALL ON *.* TO boss@'10.%' WITH GRANT OPTION;
FLUSH PRIVILEGES;
SQL
printf '[client]\\npassword={SECRET}\\n' > /root/secret.cnf
"""
# Options of clients that would lead astray, another socket, another reading of quotes, and a name in Chinese.
ODD = f"""
set -eu
printf '[mysqld]\\nsocket = /var/lib/mysql/odd.sock\\nsql_mode = ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT\\n' > /etc/mysql/mariadb.conf.d/99-odd.cnf
systemctl restart mariadb
mariadb -S /var/lib/mysql/odd.sock --default-character-set=utf8mb4 -e "CREATE USER '结算'@'10.%' IDENTIFIED BY '{SECRET}'"
printf '[client]\\nuser = nobody\\nsocket = /nowhere\\nskip-column-names\\n[mysqld]\\nserver-audit-logging = OFF\\n' > /root/.my.cnf
"""


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> Iterator[dict[str, LabHost]]:
    made = {name: lab.add_host(f"maria-{name}", kind="db", layer="db") for name in ("busy", "odd")}
    for name, script in {"busy": BUSY, "odd": ODD}.items():
        made[name].run_as_root(script, timeout=120).check_returncode()
    yield made
    for host in made.values():
        lab.remove_host(host.name)


@pytest.fixture(scope="module")
def inventory(lab: Lab, hosts: dict[str, LabHost], tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    port = {"port": 3306, "process": "mariadbd", "sources": ["local"], "purpose": site.BOTH}
    entries = {name: site.entry(host, listens=[port], runs=["mariadb"]) for name, host in hosts.items()}
    return site.write(
        tmp_path_factory.mktemp("site"), lab, hosts, entries, {"management": site.console(hosts["busy"])}
    )


def judged(inventory: Inventory, name: str) -> dict[str, Finding]:
    return {control: site.verdict(inventory, control, name) for control in CONTROLS}


def test_the_his_goes_on_working(inventory: Inventory, hosts: dict[str, LabHost]) -> None:
    host = hosts["busy"]
    as_his = f"mariadb --defaults-extra-file=/root/secret.cnf -h {host.address} -NBe"
    # A connection that stays, as a supplier's does.
    host.run_as_root(
        f"systemd-run --unit=vendor mariadb --defaults-extra-file=/root/secret.cnf -u root -h {host.address} -e 'DO SLEEP(600)'; sleep 1"
    ).check_returncode()
    changed = []
    for control, engine in ((ACCESS, "ansible"), (ACCESS, "pyinfra"), (PASSWORDS, "pyinfra"), (AUDIT, "ansible")):
        outcome = site.remedy(inventory, control, ["busy"], engine)["busy"]
        assert outcome.failed is None, f"{control} by {engine}: {outcome.failed}"
        changed.append(outcome.changed > 0)
    # What it leaves to people it does not try again.
    assert changed == [True, False, True, True]
    assert host.run_as_root(f"{as_his} 'SELECT id FROM his.fee' -u his").stdout == "1\n"
    # Connected over the network: not locked. Not connected, and from anywhere: locked.
    assert host.run_as_root(f"{as_his} 'SELECT 1' -u root").stdout == "1\n"
    assert "is locked" in host.run_as_root(f"{as_his} 'SELECT 1' -u boss").stderr
    findings = judged(inventory, "busy")
    assert findings[AUDIT].verdict is Verdict.PASS, findings[AUDIT].text
    assert findings[ACCESS].verdict is Verdict.FAIL
    for words in ("his@% may come from where", "root@% may do anything", "listens at 0.0.0.0:3306"):
        assert words in findings[ACCESS].text.en
    assert "boss" not in findings[ACCESS].text.en
    assert findings[PASSWORDS].verdict is Verdict.FAIL
    assert "the password of his@% expires never" in findings[PASSWORDS].text.en


def test_an_odd_server_is_asked_and_put_right(inventory: Inventory, hosts: dict[str, LabHost]) -> None:
    before = judged(inventory, "odd")
    assert {finding.verdict for finding in before.values()} == {Verdict.FAIL}, before
    for control, engine in zip(CONTROLS, ("pyinfra", "ansible", "pyinfra"), strict=True):
        outcome = site.remedy(inventory, control, ["odd"], engine)["odd"]
        assert outcome.failed is None, f"{control} by {engine}: {outcome.failed}"
    after = judged(inventory, "odd")
    assert after[AUDIT].verdict is Verdict.PASS, after[AUDIT].text
    for control, words in {
        ACCESS: "结算@10.% may come from where the ledger registers nobody",
        PASSWORDS: "the password of 结算@10.% expires never",
    }.items():
        assert after[control].verdict is Verdict.FAIL
        assert words in after[control].text.en
        assert ";" not in after[control].text.en, after[control].text


def test_root_without_a_way_in_is_an_error_and_no_server_a_failure(
    inventory: Inventory, hosts: dict[str, LabHost]
) -> None:
    hosts["odd"].run_as_root(
        f"mariadb --no-defaults -S /var/lib/mysql/odd.sock -e \"ALTER USER root@localhost IDENTIFIED BY '{SECRET}'\""
    ).check_returncode()
    for finding in judged(inventory, "odd").values():
        assert finding.verdict is Verdict.ERROR
        assert "root must get in by its local socket" in finding.text.en
    hosts["odd"].run_as_root("systemctl stop mariadb").check_returncode()
    for finding in judged(inventory, "odd").values():
        assert (finding.verdict, "no MariaDB server is running" in finding.text.en) == (Verdict.FAIL, True)
    assert "no server is running" in str(site.remedy(inventory, AUDIT, ["odd"], "ansible")["odd"].failed)
