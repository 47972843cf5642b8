"""Reading sshd: listeners, Match blocks, `sshd -T`."""

from __future__ import annotations

from medsec.probes.sshd import connections, parse_listeners, parse_settings


def test_the_daemons_own_command_line_is_read_from_its_title() -> None:
    output = (
        "42\t/usr/sbin/sshd\tsshd: /usr/sbin/sshd -D -o PermitRootLogin=yes -f /etc/ssh/other [listener] 0 of 10-100 startups \n"
        "77\t/usr/bin/python3.11\tpython3 -m http.server \n"
        "90\t/usr/sbin/dropbear\t/usr/sbin/dropbear -p 2222 \n"
    )
    sshd, dropbear = parse_listeners(output)
    assert sshd.config == "/etc/ssh/other"
    assert sshd.override == ("-o", "PermitRootLogin=yes", "-f", "/etc/ssh/other")
    assert sshd.is_openssh
    assert not dropbear.is_openssh


def test_a_deleted_executable_is_still_sshd() -> None:
    (daemon,) = parse_listeners("42\t/usr/sbin/sshd (deleted)\tsshd: /usr/sbin/sshd -D [listener] 0 of 10\n")
    assert daemon.is_openssh


def test_each_match_block_gets_a_connection_of_its_own() -> None:
    texts = {
        "/etc/ssh/sshd_config": "PermitRootLogin no\nMatch Address 10.0.0.0/8,192.168.*.1,!10.9.9.9\n",
        "/etc/ssh/sshd_config.d/a.conf": "match User root LocalPort=2222 # vendor\n",
    }
    found = connections(texts, user="root")
    assert found[0] == "user=root,host=client.invalid,addr=192.0.2.1,laddr=192.0.2.2,lport=22"
    assert any("addr=10.0.0.0," in case for case in found)
    assert any("addr=192.168.1.1," in case for case in found)
    assert any("lport=2222" in case for case in found)
    assert not any("10.9.9.9" in case for case in found)


def test_old_names_of_values_are_normalised() -> None:
    assert parse_settings("permitrootlogin without-password\nport 22\nport 2222\n") == {
        "permitrootlogin": ["prohibit-password"],
        "port": ["22", "2222"],
    }
