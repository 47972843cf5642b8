"""Encryption of real clients' connections: offering it cuts nobody off, requiring it waits for whoever is connected without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from medsec.evidence.findings import Verdict
from medsec.inventory import Inventory
from medsec.lab import Lab, LabHost
from tests import ledger_site as site

PG, MARIA = "postgresql_connections_encrypted", "mariadb_connections_encrypted"
REACHED = "postgresql_reached_by_ledger_only"
HBA = "/etc/postgresql/15/main/pg_hba.conf"
SQL = "runuser -u postgres -- psql -qAtX -v ON_ERROR_STOP=1"
# As a vendor leaves them: open, and in clear where the client does not ask for better.
OPEN = f"""set -e; cd /
{SQL} -c "ALTER SYSTEM SET listen_addresses = '*'" -c "CREATE ROLE his LOGIN PASSWORD 'Right-1234'" -c 'CREATE DATABASE his OWNER his'
printf 'local all postgres peer\nhost his his 127.0.0.1/32 scram-sha-256\nhost his his @NET@.0/24 scram-sha-256\n' > {HBA}
systemctl restart postgresql@15-main.service
printf '[mysqld]\nbind-address = 0.0.0.0\n' > /etc/mysql/mariadb.conf.d/99-his.cnf
systemctl restart mariadb
mariadb -e "CREATE USER his@'@APP@' IDENTIFIED BY 'Right-1234'"
"""

pytestmark = pytest.mark.xdist_group("postgresql")


def ran(host: LabHost, script: str) -> str:
    """Return what the script printed, or what it complained of."""
    answer = host.run_as_root(script, timeout=120)
    return answer.stdout.strip() if answer.returncode == 0 else answer.stderr


def psql(client: LabHost, server: LabHost, mode: str) -> str:
    return ran(
        client,
        f"PGCONNECT_TIMEOUT=5 PGSSLMODE={mode} PGPASSWORD=Right-1234 psql -wAtX -h {server.address} -U his -d his"
        " -c 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()'",
    )


def mariadb(client: LabHost, server: LabHost, option: str) -> str:
    return ran(
        client,
        f"MYSQL_PWD=Right-1234 mariadb --no-defaults {option} -h {server.address} -u his -NBe \"SHOW STATUS LIKE 'Ssl_version'\"",
    )


def test_offered_first_and_required_when_nobody_is_cut_off(
    lab: Lab, fresh_host: Callable[..., LabHost], tmp_path: Path
) -> None:
    server, client = fresh_host(kind="db"), fresh_host(kind="db")
    assert (
        ran(server, OPEN.replace("@APP@", client.address).replace("@NET@", client.address.rpartition(".")[0]))
        == ""
    )
    inventory = registered(lab, server, client, tmp_path / "offered")

    # Offered only: whoever comes in clear still does, and that is no pass.
    for control, engine in ((PG, "ansible"), (MARIA, "pyinfra")):
        outcome = site.remedy(inventory, control, ["db"], engine)["db"]
        assert outcome.failed is None, outcome.failed
        finding = site.verdict(inventory, control, "db")
        assert finding.verdict is Verdict.FAIL
        assert f"set {control}_required: true and apply again" in finding.text.en
        assert "offers no TLS" not in finding.text.en
    assert (psql(client, server, "disable"), psql(client, server, "require")) == ("f", "t")
    assert (mariadb(client, server, "--skip-ssl"), mariadb(client, server, "--ssl")) == (
        "Ssl_version",
        "Ssl_version\tTLSv1.3",
    )

    # Required, and somebody is connected in clear: nothing is taken from him, and he is named.
    inventory = registered(lab, server, client, tmp_path / "required", required=True)
    # Idle, so that the server notices when they go.
    busy = f"""
    systemd-run -q --unit=busy-pg -E PGSSLMODE=disable -E PGPASSWORD=Right-1234 sh -c 'sleep 600 | psql -wX -h {server.address} -U his -d his'
    systemd-run -q --unit=busy-maria -E MYSQL_PWD=Right-1234 sh -c 'sleep 600 | mariadb --no-defaults --skip-ssl -h {server.address} -u his'
    sleep 1"""
    assert ran(client, busy) == ""
    for control, engine, words in (
        (PG, "pyinfra", f"connected now without encryption: his ({client.address})"),
        (MARIA, "ansible", f"{client.address} is connected, perhaps in clear"),
    ):
        outcome = site.remedy(inventory, control, ["db"], engine)["db"]
        assert (outcome.failed, outcome.changed) == (None, 0)
        assert words in site.verdict(inventory, control, "db").text.en
    assert (psql(client, server, "disable"), mariadb(client, server, "--skip-ssl")) == ("f", "Ssl_version")

    # Nobody is any more: required, by one owner of the rules, whom the other control of these rules leaves alone.
    assert ran(client, "systemctl stop busy-pg busy-maria; sleep 1") == ""
    for control, engine in ((PG, "ansible"), (MARIA, "pyinfra"), (REACHED, "ansible")):
        outcome = site.remedy(inventory, control, ["db"], engine)["db"]
        assert outcome.failed is None and outcome.changed, f"{control}: {outcome}"
        assert site.verdict(inventory, control, "db").verdict is Verdict.PASS
    assert site.remedy(inventory, PG, ["db"], "pyinfra")["db"].changed == 0
    assert f"hostssl his his {client.address}/32 scram-sha-256" in ran(server, f"cat {HBA}")
    assert "no encryption" in psql(client, server, "disable")
    assert "Access denied" in mariadb(client, server, "--skip-ssl")
    assert (psql(client, server, "prefer"), mariadb(client, server, "--ssl")) == ("t", "Ssl_version\tTLSv1.3")

    # What the file says and the server has not read does not count.
    root_sql = f"{SQL} -c 'SELECT pg_reload_conf()' > /dev/null; sleep 1"
    turned = ran(
        server, f"cd /; sed -i 's/^hostssl/host   /' {HBA}; {root_sql}; sed -i 's/^host   /hostssl/' {HBA}"
    )
    assert turned == ""
    assert (psql(client, server, "disable"), site.verdict(inventory, PG, "db").verdict) == ("f", Verdict.FAIL)
    assert "it goes by older rules than its files have" in site.verdict(inventory, PG, "db").text.en
    assert site.remedy(inventory, PG, ["db"], "pyinfra")["db"].changed
    assert site.verdict(inventory, PG, "db").verdict is Verdict.PASS

    # Without openssl nothing can be said.
    assert ran(server, "mv $(command -v openssl) /root/openssl") == ""
    for control in (PG, MARIA):
        finding = site.verdict(inventory, control, "db")
        assert (finding.verdict, "no openssl" in finding.text.en) == (Verdict.ERROR, True), finding.text
    assert site.verdict(inventory, REACHED, "db").verdict is Verdict.PASS


def registered(lab: Lab, server: LabHost, client: LabHost, folder: Path, *, required: bool = False) -> Inventory:
    ports = {5432: "postgres", 3306: "mariadbd"}
    listens = [
        {"port": port, "protocol": "tcp", "process": process, "sources": ["app"], "purpose": site.BOTH}
        for port, process in ports.items()
    ]
    entries = {"db": site.entry(server, listens=listens, runs=["postgresql", "mariadb"])}
    sets = {"management": site.console(server), "app": [f"{client.address}/32"]}
    values = {f"{control}_required": required for control in (PG, MARIA)}
    # Before it is loaded: Ansible remembers what a folder says.
    (folder / "group_vars/all").mkdir(parents=True)
    (folder / "group_vars/all/tls.yml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return site.write(folder, lab, {"db": server}, entries, sets)
