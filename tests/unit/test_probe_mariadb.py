"""What the checks make of what a MariaDB server answered."""

from __future__ import annotations

import dataclasses
import importlib.util
from types import ModuleType, SimpleNamespace

import pytest

from medsec.errors import ProbeError
from medsec.probes import mariadb
from medsec.probes.mariadb import Server
from medsec.resources import root

# From a Debian 12 host with MariaDB 10.11.19, shortened to what matters here.
ANSWER = """server\t43\t/run/mysqld/mysqld.sock\t/var/lib/mysql\tenv -i PATH=/usr/bin HOME=/root /usr/bin/mariadb --no-defaults -uroot
options\t/usr/sbin/mariadbd would have been started with the following arguments:
options\t--socket=/run/mysqld/mysqld.sock --bind-address=0.0.0.0 --plugin_load_add=server_audit --loose-server-audit-logging=ON --server_audit_events=CONNECT,QUERY,TABLE --skip-local-infile --plugin-load-add=simple_password_check.so --server_audit_logging=off \n\
socket\ttcp\tESTAB\t10.66.1.20:3306\t10.66.1.10
socket\ttcp\tESTAB\t10.66.1.20:3306\t10.66.1.20
socket\ttcp\tESTAB\t[::ffff:10.66.1.20]:3306\t[::ffff:10.66.3.11]
socket\ttcp\tESTAB\t10.66.1.20:45678\t10.66.2.10
socket\ttcp\tLISTEN\t0.0.0.0:3306\t-
socket\tu_str\tLISTEN\t/run/mysqld/mysqld.sock\t-
variable\tVERSION\t10.11.19-MariaDB-0+deb12u1
variable\tLOCAL_INFILE\tOFF
plugin\tSERVER_AUDIT\tACTIVE\tFORCE_PLUS_PERMANENT
plugin\tsimple_password_check\tDISABLED\tON
account\tmariadb.sys\tlocalhost\t{"access":0,"plugin":"mysql_native_password","authentication_string":"","account_locked":true,"password_last_changed":0}
account\troot\tlocalhost\t{"access":18446744073709551615,"plugin":"mysql_native_password","authentication_string":"invalid","auth_or":[{},{"plugin":"unix_socket"}]}
account\this\t10.66.1.10\t{"access":0,"plugin":"mysql_native_password","authentication_string":"set","password_lifetime":0}
account\treport\t10.66.1.%\t{"access":0,"plugin":"mysql_native_password","authentication_string":""}
account\tvendor\t10.%\t{"access":0,"plugin":"ed25519","authentication_string":"set","password_lifetime":-1}
account\tupkeep\t\t{"access":32768,"is_role":true}
account\thelpers\t\t{"access":0,"is_role":true}
role\tvendor\t10.%\thelpers
role\thelpers\t\tupkeep
installed\tmetadata_lock_info.so
account\to\\\\ld\tlocalhost\t{"access":0,"plugin":"pam","authentication_string":"a\\\\"b"}
anybody\tPUBLIC\t\ttest
end
"""
SETS = {"his_app": ["10.66.1.10/32"], "servers": ["10.66.1.0/25", "10.66.1.128/25"]}


@pytest.fixture
def server() -> Server:
    (found,) = mariadb.parse(ANSWER)
    return found


def listens(*sources: str, port: int = 3306, process: str = "mariadbd") -> SimpleNamespace:
    entry = {"port": port, "protocol": "tcp", "process": process, "sources": list(sources)}
    return SimpleNamespace(listens=[entry], address_sets=SETS)


def load(control: str) -> ModuleType:
    path = root() / "roles/database/controls" / control / "check.py"
    spec = importlib.util.spec_from_file_location(control, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def said(server: Server, params: SimpleNamespace) -> str:
    return "; ".join(load("mariadb_reached_by_ledger_only").complaints_of(server, params))


def test_of_options_the_last_counts_however_it_is_written(server: Server) -> None:
    assert server.options["server_audit_logging"] == "off"
    assert server.options["local_infile"] == "OFF"
    assert server.loads("simple_password_check")
    assert server.loads("metadata_lock_info")
    assert not server.loads("password_check")


def test_a_plugin_that_is_not_active_is_not_loaded(server: Server) -> None:
    assert server.load_option("server_audit") == "FORCE_PLUS_PERMANENT"
    assert server.load_option("simple_password_check") is None


def test_power_comes_by_a_role_of_a_role_too(server: Server) -> None:
    assert [account.name for account in server.accounts if account.rules] == ["root@localhost", "vendor@10.%"]


def test_a_password_that_cannot_be_is_no_way_in(server: Server) -> None:
    by_name = {account.name: account for account in server.accounts}
    assert not by_name["root@localhost"].by_password
    assert by_name["o\\ld@localhost"].ways == (("pam", "set"),)
    assert by_name["his@10.66.1.10"].by_password
    assert (by_name["his@10.66.1.10"].lifetime, by_name["vendor@10.%"].lifetime) == (0, None)


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("%", "0.0.0.0/0"),
        ("", "0.0.0.0/0"),
        ("localhost", "127.0.0.0/8"),
        ("10.66.1.%", "10.66.1.0/24"),
        ("10.%", "10.0.0.0/8"),
        ("10.66.1.0/255.255.255.0", "10.66.1.0/24"),
        ("10.66.1.10", "10.66.1.10/32"),
        ("fd66::10", "fd66::10/128"),
        ("10.66.1.1%", None),
        ("10.66.1._", None),
        ("his-app", None),
        ("%.example", None),
    ],
)
def test_a_host_part_means_addresses(host: str, network: str | None) -> None:
    account = mariadb.Account("his", host, False, False, False, (), None)
    assert (str(account.network()) if account.network() else None) == network


def test_peers_are_those_of_its_ports_from_elsewhere(server: Server) -> None:
    assert server.peers() == [("10.66.1.10", 3306), ("10.66.3.11", 3306)]


def test_the_ledger_decides_whom_it_may_be_reached_by(server: Server) -> None:
    told = said(server, listens("his_app"))
    assert "10.66.3.11 is connected to port 3306" in told
    assert "10.66.1.10 is" not in told
    assert "his@10.66.1.10 may come" not in told
    assert "report@10.66.1.% may come from where the ledger registers nobody" in told
    assert "report@10.66.1.% needs no password" in told
    assert "vendor@10.% may do anything and comes over the network" in told
    assert "every account may use database test (granted to PUBLIC)" in told
    assert "listens at" not in told
    # Two halves make a whole.
    assert "report@10.66.1.% may come" not in said(server, listens("servers"))


@pytest.mark.parametrize(
    "params", [listens("local"), listens("servers", port=3307), listens("servers", process="nginx")]
)
def test_another_entry_of_the_ledger_permits_nothing(server: Server, params: SimpleNamespace) -> None:
    told = said(server, params)
    assert "it listens at 0.0.0.0:3306, and the ledger registers no other host" in told
    assert "his@10.66.1.10 may come from where" in told


def test_an_answer_that_breaks_off_says_nothing() -> None:
    with pytest.raises(ProbeError, match=r"root must get in.*ERROR 2013"):
        mariadb.parse(ANSWER.replace("end\n", ""), "ERROR 2013")


def test_mysql_is_named_as_what_it_is() -> None:
    with pytest.raises(ProbeError, match=r"not MariaDB but 8\.0\.41: MySQL is not supported"):
        first = ANSWER[: ANSWER.index("variable\tLOCAL_INFILE")].replace("10.11.19-MariaDB-0+deb12u1", "8.0.41")
        mariadb.parse(first, "ERROR 1193 (HY000) at line 2: Unknown system variable 'max_statement_time'")


def changed(server: Server, options: dict[str, str] | None = None, **variables: str) -> Server:
    """Return the server with other options for its next start, and other variables now."""
    rows = {
        "variable": [[name, value] for name, value in variables.items()],
        "plugin": [["SERVER_AUDIT", "ACTIVE", "FORCE_PLUS_PERMANENT"]],
        "init": [["SET GLOBAL Server_Audit_logging = 0"]] if "init_file" in (options or {}) else [],
    }
    written = {"server_audit": "FORCE_PLUS_PERMANENT", "server_audit_logging": "ON", **(options or {})}
    return dataclasses.replace(server, options=written, rows=rows)


AUDITED = {
    "server_audit_logging": "ON",
    "server_audit_output_type": "syslog",
    "server_audit_query_log_limit": "1024",
}


@pytest.mark.parametrize(
    ("options", "variables", "expected"),
    [
        ({"server_audit_output_type": "SYSLOG"}, {}, ""),
        ({"server_audit_output_type": "syslog", "server_audit_query_log_limit": "80"}, {}, "after a restart server_audit_query_log_limit is 80"),
        ({"server_audit_output_type": "syslog"}, {"server_audit_query_log_limit": "80"}, "server_audit_query_log_limit is 80"),
        ({}, {}, "after a restart it writes to file server_audit.log, now to syslog"),
        ({"server_audit_output_type": "file", "server_audit_file_path": "/no/a"}, {"server_audit_output_type": "file", "server_audit_file_path": "a"}, "after a restart it writes to file /no/a, now to file a"),
        ({"server_audit_output_type": "syslog", "init_file": "/etc/first.sql"}, {}, "init_file /etc/first.sql changes the audit"),
    ],
)  # fmt: skip
def test_what_the_audit_loses_by_a_limit_or_at_the_next_start(
    server: Server, options: dict[str, str], variables: dict[str, str], expected: str
) -> None:
    complaints = load("mariadb_statements_audited")._complaints
    told = "; ".join(text.en for text in complaints(changed(server, options, **(AUDITED | variables)), 1))
    assert told.startswith(expected) and bool(told) is bool(expected)


@pytest.mark.parametrize(
    "lines",
    [
        'account\tapp\t10.66.1.10\t{"access":6,"plugin":"ed25519","authentication_string":"set"}\n',
        'account\tapp\t10.66.1.10\t{"access":0,"plugin":"ed25519","authentication_string":"set"}\nwriter\tapp\t10.66.1.10\n',
        'account\tapp\t10.66.1.10\t{"access":0,"plugin":"ed25519","authentication_string":"set"}\nrole\tapp\t10.66.1.10\tgranters\nwriter\tgranters\t\n',
    ],
)
def test_who_writes_the_grants_gives_itself_any_right(lines: str) -> None:
    (server,) = mariadb.parse(ANSWER.replace("end\n", f"{lines}end\n"))
    told = said(server, listens("his_app"))
    assert "app@10.66.1.10 may write the tables of grants" in told
    assert "his@10.66.1.10 may write" not in told


def test_a_method_that_keeps_no_secret_needs_none(server: Server) -> None:
    """PAM and Kerberos ask elsewhere: what stands in the account is no password."""
    (asked,) = mariadb.parse(
        ANSWER.replace(
            '"plugin":"ed25519","authentication_string":"set"', '"plugin":"pam","authentication_string":""'
        )
    )
    assert "vendor@10.% needs no password" not in said(asked, listens("his_app"))
    assert "report@10.66.1.% needs no password" in said(asked, listens("his_app"))


def test_without_its_grants_the_server_lets_everybody_in(server: Server) -> None:
    options = {**server.options, "skip_grant_tables": "ON"}
    assert "everybody is let in" in said(dataclasses.replace(server, options=options), listens("his_app"))
    assert "everybody is let in" not in said(server, listens("his_app"))
    # What it says of whoever asks where it checks nobody, whatever its option files have become since.
    (open_now,) = mariadb.parse(ANSWER.replace("end\n", "me\t@\nend\n"))
    assert "runs without its grants" in said(open_now, listens("his_app"))
    (checked,) = mariadb.parse(ANSWER.replace("end\n", "me\troot@localhost\nend\n"))
    assert "without its grants" not in said(checked, listens("his_app"))
