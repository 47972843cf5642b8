"""The lock-out put into stacks that administrators wrote by hand: what it makes of them, and how they then behave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import testinfra

from medsec.lab import Lab, LabHost
from medsec.probes import pam, pam_ways
from medsec.probes.login_attempts import trials

SCRIPT = (Path(__file__).parents[2] / "roles/accounts/files/login_lock.sh").read_text(encoding="utf-8")
PASSED = {"pam_unix": ("success",), "pam_deny": ("auth_err",)}

STACKS = {
    "one module": "auth required pam_unix.so\n",
    "one module, then more": "auth requisite pam_unix.so nullok\nauth optional pam_group.so\n",
    "sufficient and deny": "auth sufficient pam_unix.so\nauth required pam_deny.so\n",
    "Debian with a directory": (
        "auth [success=2 default=ignore] pam_unix.so nullok\nauth [success=1 default=ignore] pam_sss.so use_first_pass\n"
        "auth requisite pam_deny.so\nauth required pam_permit.so\nauth optional pam_cap.so\n"
    ),
    "counted too early": (
        "auth [default=die] pam_faillock.so authfail\nauth [success=1 default=ignore] pam_unix.so\n"
        "auth requisite pam_deny.so\nauth required pam_permit.so\n"
    ),
    "asked without effect": (
        "auth optional pam_faillock.so preauth\nauth sufficient pam_unix.so\n"
        "auth [default=die] pam_faillock.so authfail deny=50\nauth required pam_deny.so\n"
    ),
    "jumped over for one account": (
        "auth [success=1 default=ignore] pam_succeed_if.so quiet user = x\nauth requisite pam_faillock.so preauth\n"
        "auth [success=2 default=ignore] pam_unix.so\nauth [default=die] pam_faillock.so authfail\n"
        "auth requisite pam_deny.so\nauth required pam_permit.so\n"
    ),
    "a long jump over the end": (
        "auth [success=3 default=ignore] pam_fprintd.so\nauth [success=2 default=ignore] pam_unix.so\n"
        "auth optional pam_echo.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n"
    ),
    "a wrong password ends it": (
        "auth requisite pam_faillock.so preauth\nauth [success=2 default=die] pam_unix.so\n"
        "auth [default=die] pam_faillock.so authfail\nauth requisite pam_deny.so\nauth required pam_permit.so\n"
    ),
}
TRIED_FOR_REAL = ("one module, then more", "Debian with a directory", "jumped over for one account")


# One worker: the hosts are started once.
pytestmark = pytest.mark.xdist_group("stacks")


@pytest.fixture(scope="module")
def target(lab: Lab) -> Iterator[LabHost]:
    host = lab.add_host("stacks", kind="server")
    # Without it there is no profile of Debian's to fall back on: what is tried here is the script alone.
    host.run_as_root("mv /usr/sbin/pam-auth-update /root/").check_returncode()
    yield host
    lab.remove_host(host.name)


def settle(host: LabHost) -> dict[str, str]:
    done = host.run_as_root(f"set -- 5 1800 900 300 600 300 60\n{SCRIPT}")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    files: dict[str, str] = answer["files"]
    for path, text in files.items():
        host.run_as_root(f"cat > {path} <<'THE-END'\n{text}THE-END\n").check_returncode()
    return files


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_written_by_hand_gets_the_lock(lab: Lab, target: LabHost, name: str) -> None:
    target.run_as_root(f"cat > /etc/pam.d/common-auth <<'THE-END'\n{STACKS[name]}THE-END\n").check_returncode()
    assert "/etc/pam.d/common-auth" in settle(target)
    assert settle(target) == {}, "a second run must find nothing to do"
    host = testinfra.get_host(f"ssh://{target.name}", ssh_config=str(lab.ssh_config_path), sudo=True)
    stack = pam.services(host).stack("su", "auth")
    assert pam_ways.lock_bypass(stack) is None, target.run_as_root("cat /etc/pam.d/common-auth").stdout
    assert _lets_the_right_password_in(stack), target.run_as_root("cat /etc/pam.d/common-auth").stdout
    if name in TRIED_FOR_REAL:
        for trial in trials(host, ["su"], deny=5, tallies=["/run/faillock"]):
            assert (trial.let_in_before, trial.wrong_let_in, trial.let_in_after) == (True, 0, False), trial


def _lets_the_right_password_in(stack: list[pam.Step]) -> bool:
    def answers(rule: pam.Rule) -> tuple[str, ...]:
        if rule.module == "pam_faillock":
            return ("auth_err",) if "authfail" in rule.arguments else ("success",)
        return PASSED.get(rule.module, ("success",) if rule.module == "pam_permit" else ("ignore",))

    return all(end.granted for end in pam_ways.ways(stack, answers, lambda rule, answer, facts: facts))
