"""Reading what the clock follows: chrony's answer is a Debian 12 host's (tests/unit/captured/clock_chrony.txt)."""

from __future__ import annotations

from pathlib import Path

import pytest

from medsec.errors import ProbeError
from medsec.probes.clock import Clock, parse

ANSWER = (Path(__file__).parent / "captured/clock_chrony.txt").read_text(encoding="utf-8")
TIMESYNCD = """== timesyncd
LinkNTPServers=10.9.9.9
SystemNTPServers=10.66.1.254
FallbackNTPServers=0.debian.pool.ntp.org 1.debian.pool.ntp.org
ServerName=10.66.1.254
ServerAddress=10.66.1.254
Frequency=0
Packet count=4
Offset=-1min 2.5s
NTPSynchronized=yes
== timesyncd configuration
# /etc/systemd/timesyncd.conf
[Time]
NTP=pool.ntp.example
# /etc/systemd/timesyncd.conf.d/site.conf
[Time]
NTP=
NTP=10.66.1.254
== zone"""


def told(answer: str = ANSWER) -> Clock:
    return parse(answer, "Asia/Shanghai")


def test_sources_in_use_and_configured_are_told_apart() -> None:
    (following,) = told().following
    assert following.sources == ("10.85.1.1", "192.0.2.123")
    assert following.configured == ("10.85.1.1",)
    assert following.selected == "10.85.1.1"
    assert following.synchronised
    assert following.offset_ms is not None
    assert following.offset_ms < 1


def test_a_clock_that_follows_nothing_is_not_synchronised() -> None:
    answer = ANSWER.replace(",Normal", ",Not synchronised").replace("^,*,", "^,?,")
    (following,) = told(answer).following
    assert not following.synchronised
    assert following.selected == ""


def test_a_source_given_by_name_is_known_by_its_name() -> None:
    named = ANSWER.replace("server 10.85.1.1 iburst", "server time.clinic iburst")
    head, names, tail = named.partition("== chrony names\n")
    (following,) = told(head + names + tail.replace("10.85.1.1", "time.clinic", 1)).following
    assert following.sources[0] == "time.clinic"
    assert following.selected == "time.clinic"


def test_daemons_and_units_are_listed() -> None:
    clock = told()
    assert {daemon.unit for daemon in clock.daemons} == {"chrony.service"}
    assert all(daemon.hands_off for daemon in clock.daemons)
    assert clock.in_container
    assert [(service.name, service.active, service.enabled) for service in clock.services] == [
        ("chrony.service", True, True)
    ]


def test_who_is_refused_the_time_is_told() -> None:
    assert told().refused == ("10.85.1.7",)
    assert told(ANSWER.replace("209 Access denied", "208 Access allowed")).refused == ()


def test_timesyncd_is_read_with_its_drop_ins_and_links() -> None:
    following = told(ANSWER.replace("== zone", TIMESYNCD)).following[-1]
    assert following.sources == ("10.66.1.254", "10.9.9.9")
    assert following.configured == ("10.66.1.254",)
    assert following.offset_ms == 62_500


def test_the_fallback_servers_count_where_no_other_is_known() -> None:
    answer = TIMESYNCD.replace("SystemNTPServers=10.66.1.254\n", "").replace("LinkNTPServers=10.9.9.9\n", "")
    following = told(ANSWER.replace("== zone", answer)).following[-1]
    assert following.sources == ("0.debian.pool.ntp.org", "1.debian.pool.ntp.org")


@pytest.mark.parametrize(
    "change", [("+0800\n+0800", "+0000\n+0800"), ("same", "other"), ("known\n", "known\nUTC\n")]
)
def test_a_wrong_zone_is_told(change: tuple[str, str]) -> None:
    assert told().zone_right
    assert not told(ANSWER.replace(*change)).zone_right


def test_an_answer_that_stops_half_way_is_an_error() -> None:
    with pytest.raises(ProbeError, match="does not parse"):
        told(ANSWER.partition("== zone")[0])


@pytest.mark.parametrize(
    ("options", "told_to"), [("-F 1 -x", True), ("-nx", True), ("-F 1", False), ("-f /etc/x", False)]
)
def test_a_daemon_that_is_told_to_leave_the_clock_alone(options: str, told_to: bool) -> None:
    heading = "== processes\n"
    line = f"{heading}7\tchrony.service\t/usr/sbin/chronyd\t/usr/sbin/chronyd {options} \n"
    assert told(ANSWER.replace(heading, line)).daemons[0].hands_off is told_to
