"""Reading sshd: listeners, Match blocks, `sshd -T`."""

from __future__ import annotations

import pytest

from medsec.errors import ProbeError
from medsec.probes import sshd
from medsec.probes.sshd import Daemon, connections, parse_listeners, parse_settings, specification

DAEMON = Daemon(42, "/usr/sbin/sshd", ("-D",))


def started(*options: str) -> Daemon:
    return Daemon(42, "/usr/sbin/sshd", options)


def test_the_daemons_own_command_line_is_read_from_its_title() -> None:
    output = (
        "42\t/usr/sbin/sshd\tsame\tsshd: /usr/sbin/sshd -D -o PermitRootLogin=yes -f /etc/ssh/other [listener] 0 of 10 \n"
        "77\t/usr/bin/python3.11\tsame\tpython3 -m http.server \n"
        "90\t/usr/sbin/dropbear\tother\t/usr/sbin/dropbear -p 2222 \n"
    )
    sshd, dropbear = parse_listeners(output)
    assert sshd.config == "/etc/ssh/other"
    assert sshd.override == ("-o", "PermitRootLogin=yes", "-f", "/etc/ssh/other")
    assert sshd.is_openssh
    assert not dropbear.is_openssh


def test_a_deleted_executable_is_still_sshd() -> None:
    (daemon,) = parse_listeners("42\t/usr/sbin/sshd (deleted)\tsame\tsshd: /usr/sbin/sshd -D [listener] 0 of 10\n")
    assert daemon.is_openssh


def test_an_sshd_by_another_name_is_known_by_its_title() -> None:
    title = "admind: /usr/local/sbin/admind -f /etc/admind [listener] 0 of 10-100 startups"
    (daemon,) = parse_listeners(f"42\t/usr/local/sbin/admind\tother\t{title}\n")
    assert (daemon.is_openssh, daemon.config, daemon.apart) == (True, "/etc/admind", True)


@pytest.mark.parametrize(
    ("options", "config", "override"),
    [
        (("-D", "-f/etc/ssh/other"), "/etc/ssh/other", ("-f", "/etc/ssh/other")),
        (("-Def", "/etc/ssh/other"), "/etc/ssh/other", ("-f", "/etc/ssh/other")),
        (("-oPermitRootLogin=yes",), "/etc/ssh/sshd_config", ("-o", "PermitRootLogin=yes")),
        # The title does not show which words were one.
        (("-o", "PermitRootLogin", "yes", "-D"), "/etc/ssh/sshd_config", ("-o", "PermitRootLogin yes")),
        (("-E", "/var/log/fop", "-Do", "UsePAM=no"), "/etc/ssh/sshd_config", ("-o", "UsePAM=no")),
    ],
)
def test_options_are_read_as_getopt_reads_them(
    options: tuple[str, ...], config: str, override: tuple[str, ...]
) -> None:
    assert (started(*options).config, started(*options).override) == (config, override)


SOCKET = """42\t/usr/sbin/sshd\tsame\tsshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups
1\t/usr/lib/systemd/systemd\tsame\t/sbin/init
ExecStart={ path=/usr/sbin/sshd ; argv[]=/usr/sbin/sshd -i $SSHD_OPTS ; ignore_errors=yes ; start_time=[n/a] }
EnvironmentFiles=/etc/default/ssh (ignore_errors=yes)
# Default settings for openssh-server.
SSHD_OPTS="-o PermitRootLogin=yes -f /etc/ssh/other"
"""


def test_what_systemd_starts_for_each_connection_is_a_daemon_of_its_own() -> None:
    resident, socket = parse_listeners(SOCKET)
    assert (resident.pid, resident.override) == (42, ())
    assert (socket.pid, socket.config) == (1, "/etc/ssh/other")
    assert socket.override == ("-o", "PermitRootLogin=yes", "-f", "/etc/ssh/other")


def test_an_sshd_behind_a_shell_cannot_be_judged() -> None:
    with pytest.raises(ProbeError):
        parse_listeners(SOCKET.replace("path=/usr/sbin/sshd ; argv[]=", "path=/bin/sh ; argv[]=/bin/sh -c exec "))


def shown(main: str, users: tuple[str, ...] = ("root",), daemon: Daemon = DAEMON) -> list[str]:
    found = connections({"/etc/ssh/sshd_config": main}, users, daemon)
    return [specification(case) for case in found]


def test_each_match_block_gets_a_connection_of_its_own() -> None:
    texts = {
        "/etc/ssh/sshd_config": 'PermitRootLogin no\n"Match" Address 10.0.0.0/8,192.168.*.1,!10.9.9.9\n',
        "/etc/ssh/sshd_config.d/a.conf": "match User root LocalPort=2222 # vendor\n",
    }
    found = [specification(case) for case in connections(texts, ["root"], DAEMON)]
    assert found[0] == "user=root,host=client.invalid,addr=192.0.2.1,laddr=192.0.2.2,lport=22"
    assert any("addr=10.0.0.0," in case for case in found)
    assert any("addr=192.168.1.1," in case for case in found)
    assert any("lport=2222" in case for case in found)


def test_what_a_block_leaves_out_is_tried_as_well() -> None:
    assert any("addr=10.9.9.9," in case for case in shown("Match Address *,!10.9.9.9\nPermitRootLogin no\n"))


def test_both_ends_of_a_network_and_the_other_protocol_are_tried() -> None:
    found = shown("Match Address 10.0.0.0/24\nPermitRootLogin no\nMatch Address 10.0.0.0/8\n")
    for address in ("10.0.0.0", "10.0.0.255", "10.255.255.255", "2001:db8::1"):
        assert any(f"addr={address}," in case for case in found)


@pytest.mark.parametrize("ports", ["Port 22\nPort 2222\n", "ListenAddress [::]:2222\n", 'port="2222"\n'])
def test_each_port_of_the_daemon_is_tried(ports: str) -> None:
    assert any("lport=2222" in case for case in shown(f"{ports}Match LocalPort 22\nPermitRootLogin no\n"))


def test_a_port_given_at_the_start_is_tried() -> None:
    found = shown("Match LocalPort 22\n", daemon=started("-D", "-p", "2200", "-oPort=2300"))
    assert {case.rpartition("=")[2] for case in found} == {"22", "2200", "2300"}


def test_every_account_of_roots_id_is_tried() -> None:
    assert [case.partition(",")[0] for case in shown("", ("root", "toor"))] == ["user=root", "user=toor"]


def test_too_many_cases_are_an_error() -> None:
    blocks = "".join(f"Match Address 10.0.{n}.0/24 LocalPort {n + 1}\n" for n in range(30))
    with pytest.raises(ProbeError):
        shown(blocks)


@pytest.mark.parametrize(
    ("pattern", "meant"), [("root", True), ("r*", True), ("root@10.*", True), ("admin", False), ("roo.", False)]
)
def test_whom_an_entry_of_allowusers_may_mean(pattern: str, meant: bool) -> None:
    assert sshd.names(pattern, "root") is meant


def test_old_names_of_values_are_normalised() -> None:
    assert parse_settings("permitrootlogin without-password\nport 22\nport 2222\n") == {
        "permitrootlogin": ["prohibit-password"],
        "port": ["22", "2222"],
    }


def test_when_the_settings_were_read() -> None:
    assert sshd._read_at([100.0]) == 101
    assert sshd._read_at([100.0, 99.2]) == 99.2
    assert sshd._read_at([100.0, 57.0]) == 101
