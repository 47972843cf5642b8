"""Reading who listens, from the answer of a Debian 12 host (tests/unit/captured/listeners.txt)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medsec.errors import ProbeError
from medsec.probes.listeners import Holder, Listener, Listeners, is_client, parse, problem

ANSWER = (Path(__file__).parent / "captured/listeners.txt").read_text(encoding="utf-8")


def listener(port: int, protocol: str = "tcp") -> Listener:
    return next(one for one in parse(ANSWER).sockets if (one.port, one.protocol) == (port, protocol))


def entry(port: int, process: str, *sources: str, protocol: str = "tcp") -> dict[str, Any]:
    return {"port": port, "protocol": protocol, "process": process, "sources": list(sources) or ["management"]}


def test_a_program_is_told_by_its_file_and_its_unit() -> None:
    assert listener(22).holders == (Holder(42, "/usr/sbin/sshd", "ssh.service"),)
    assert listener(8090).holders == (Holder(601, "/usr/bin/python3.11", "board.service"),)


def test_what_systemd_holds_is_told_by_what_it_starts() -> None:
    assert listener(2323).holders == (Holder(1, "/usr/bin/cat", "rc.socket"),)
    assert listener(2424).holders == (Holder(1, "/usr/sbin/telnetd", "tn.socket"),)  # started for each connection
    assert {holder.program for holder in listener(111).holders} == {"/usr/sbin/rpcbind", "/sbin/rpcbind"}


def test_loopback_is_told_from_all_addresses() -> None:
    assert listener(8090).local
    assert listener(99, "udp").local
    assert not listener(22).local
    assert not listener(2323).local  # "*", which is both families


@pytest.mark.parametrize(("address", "local"), [("127.0.0.53%lo", True), ("[::1]", True), ("[::ffff:127.0.0.1]", True),
                                                ("[fe80::1]%eth0", False), ("0.0.0.0%lo", True), ("[::]", False)])  # fmt: skip
def test_addresses_with_devices(address: str, local: bool) -> None:
    line = f"here tcp LISTEN 0 5 {address}:77 0.0.0.0:*"
    assert parse(ANSWER.replace("== processes", f"{line}\n== processes")).sockets[-1].local is local


def test_the_registered_program_on_its_port_is_right() -> None:
    for process in ("sshd", "/usr/sbin/sshd", "ssh.service"):
        assert problem(listener(22), [entry(22, process)]) is None
    assert problem(listener(8090), [entry(8090, "board.service", "local")]) is None


def test_a_port_that_nobody_registered_is_told_with_program_and_unit() -> None:
    told = problem(listener(8090), [entry(22, "sshd")])
    assert told is not None
    assert told[0] == (
        "/usr/bin/python3.11 (pid 601, board.service) listens on tcp 127.0.0.1:8090, which the ledger does not register"
    )


def test_another_program_on_a_registered_port_is_told() -> None:
    told = problem(listener(22), [entry(22, "his")])
    assert told is not None
    assert "which the ledger registers for his" in told[0]


def test_a_registered_udp_port_says_nothing_of_tcp() -> None:
    assert problem(listener(22), [entry(22, "sshd", protocol="udp")]) is not None


def test_a_local_service_on_all_addresses_is_told() -> None:
    told = problem(listener(22), [entry(22, "sshd", "local")])
    assert told is not None
    assert "registers for loopback only" in told[0]
    assert problem(listener(22), [entry(22, "sshd", "local"), entry(22, "sshd")]) is None


def test_a_container_of_its_own_is_not_hidden_by_the_hosts_ledger() -> None:
    assert listener(8099).space.startswith("net:[")
    assert problem(listener(8099), [entry(8099, "python3.11")]) is not None


def test_a_name_in_a_folder_of_everybody_proves_nothing() -> None:
    copied = Listener("tcp", "0.0.0.0", 8080, False, "", (Holder(9, "/home/li/his", ""),))
    assert problem(copied, [entry(8080, "his")]) is not None
    assert problem(copied, [entry(8080, "/home/li/his")]) is None


def test_a_socket_without_a_visible_process_is_never_the_registered_one() -> None:
    assert problem(Listener("tcp", "0.0.0.0", 2049, False, "", ()), [entry(2049, "nfsd")]) is not None


def test_only_named_clients_may_wait_for_answers_on_an_ephemeral_udp_port() -> None:
    def waiting(program: str, port: int, protocol: str = "udp") -> bool:
        socket = Listener(protocol, "0.0.0.0", port, False, "", (Holder(9, program, ""),))
        return is_client(socket, Listeners((socket,), (), range(32768, 61000)), ["rsyslogd"])

    assert waiting("/usr/sbin/rsyslogd", 40000)
    assert not waiting("/usr/sbin/rsyslogd", 514)
    assert not waiting("/usr/sbin/rsyslogd", 40000, "tcp")
    assert not waiting("/opt/x/backdoor", 40000)
    assert not waiting("/tmp/rsyslogd", 40000)


def test_udp_lite_is_told_in_both_families() -> None:
    told = [(one.address, one.port, one.local) for one in parse(ANSWER).sockets if one.protocol == "udplite"]
    assert told == [("0.0.0.0", 8080, False), ("::1", 8081, True)]


def test_a_socket_that_the_next_boot_opens_is_told_apart() -> None:
    stopped = ANSWER.replace("Listen=[::]:2424 (Stream)", "Listen=[::]:2424 (Stream)\nActiveState=inactive")
    (later,) = parse(stopped).at_boot
    assert (later.port, later.holders[0].program, later.local) == (2424, "/usr/sbin/telnetd", False)
    assert parse(ANSWER).at_boot == ()


def test_what_boot_starts_is_told_by_every_program_it_names() -> None:
    assert ("portmapper.service", "/sbin/rpcbind") in parse(ANSWER).starts
    assert ("/etc/cron.d/old", "/usr/sbin/in.tftpd") in parse(ANSWER).starts
    settings = ANSWER.replace("/usr/sbin/in.tftpd -l", "/usr/bin/x -c /etc/in.tftpd")
    assert not any(program == "/etc/in.tftpd" for _, program in parse(settings).starts)


def test_a_virtual_machines_own_socket_is_no_port() -> None:
    machine = ANSWER.replace("Listen=[::]:2424 (Stream)", "Listen=vsock::22 (Stream)\nActiveState=inactive")
    assert parse(machine).at_boot == ()


def test_an_answer_that_does_not_parse_is_an_error() -> None:
    with pytest.raises(ProbeError, match="does not parse"):
        parse(ANSWER.replace("here tcp LISTEN", "what is this", 1))
