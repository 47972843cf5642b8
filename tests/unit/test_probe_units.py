"""Reading `systemctl show` of a Debian 12 host (tests/unit/captured/units.txt)."""

from __future__ import annotations

from pathlib import Path

import pytest

from medsec.errors import ProbeError
from medsec.probes.units import Unit, parse

ANSWER = (Path(__file__).parent / "captured/units.txt").read_text(encoding="utf-8")


def unit(name: str) -> Unit:
    (found,) = [unit for unit in parse(ANSWER, expected=16) if unit.name == name]
    return found


def test_units_that_do_not_exist_are_left_out() -> None:
    names = [unit.name for unit in parse(ANSWER, expected=16)]
    assert names == ["rpcbind.service", "rpcbind.socket", "ssh.service", "ssh.socket", "cron.service"]


def test_a_masked_unit_that_still_runs_runs_and_would_not_start() -> None:
    assert unit("rpcbind.service").runs
    assert not unit("rpcbind.service").would_start


def test_a_mask_that_the_next_boot_forgets_is_none() -> None:
    for enabled, expected in (("masked", False), ("masked-runtime", True)):
        assert Unit("x.service", "masked", "inactive", enabled, ()).would_start is expected


def test_an_enabled_socket_would_start_and_a_disabled_one_would_not() -> None:
    assert unit("rpcbind.socket").would_start
    assert not unit("ssh.socket").would_start


def test_an_answer_about_fewer_units_than_asked_is_an_error() -> None:
    with pytest.raises(ProbeError, match="told of 16 units, 17 were asked for"):
        parse(ANSWER, expected=17)
