"""What pam_faillock's lines and files come to."""

from __future__ import annotations

import pytest

from medsec.errors import ProbeError
from medsec.probes import faillock, login_attempts, pam

CONF = "# deny = 3\ndeny = 4\n unlock_time=900 # quarter of an hour\neven_deny_root\nfail_interval 600\n"


def line(arguments: str) -> pam.Rule:
    [rule] = pam.rules("/etc/pam.d/common-auth", f"auth requisite pam_faillock.so {arguments}\n")
    return rule


def test_the_file_is_read_as_the_module_reads_it() -> None:
    assert faillock.parse(CONF) == {
        "deny": "4",
        "unlock_time": "900",
        "even_deny_root": "",
        "fail_interval": "600",
    }


def test_options_on_the_line_beat_the_file() -> None:
    found = faillock.settings(line("preauth deny=7 unlock_time=never"), {faillock.MAIN: faillock.parse(CONF)})
    assert (found.deny, found.unlock_time, found.fail_interval, found.root_unlock_time) == (7, 0, 600, 0)
    assert found.origin["deny"] == "/etc/pam.d/common-auth:1"
    assert found.origin["fail_interval"] == faillock.MAIN


def test_defaults_hold_where_nothing_is_set() -> None:
    found = faillock.settings(line("authfail"), {})
    assert (found.deny, found.unlock_time, found.fail_interval, found.root_unlock_time) == (3, 600, 900, None)
    assert found.folder == "/run/faillock"


def test_root_has_a_time_of_his_own() -> None:
    assert faillock.settings(line("preauth root_unlock_time=60"), {}).root_unlock_time == 60
    assert faillock.settings(line("preauth even_deny_root"), {}).root_unlock_time == 600


def test_another_file_counts_where_the_line_names_one() -> None:
    known = {"/etc/other.conf": {"deny": "9"}, faillock.MAIN: {"deny": "4"}}
    assert faillock.settings(line("preauth conf=/etc/other.conf"), known).deny == 9


def test_a_number_that_is_none_is_an_error() -> None:
    with pytest.raises(ProbeError, match=r"/etc/pam.d/common-auth:1: deny .* 'five'"):
        faillock.settings(line("preauth deny=five"), {})


def test_trials_are_read_and_a_strange_line_is_an_error() -> None:
    [trial] = login_attempts.parse("sshd|user|yes|0|no|Password: su: Authentication failure | x\n")
    assert (trial.let_in_before, trial.wrong_let_in, trial.let_in_after) == (True, 0, False)
    assert trial.said.endswith("| x")
    with pytest.raises(ProbeError, match="reported as"):
        login_attempts.parse("su: not found\n")


def test_a_group_that_is_locked_for_roots_time_is_told() -> None:
    found = faillock.settings(line("preauth"), {faillock.MAIN: {"admin_group": "users", "even_deny_root": ""}})
    assert found.admin_group == "users"
    assert faillock.settings(line("preauth"), {}).admin_group == ""
