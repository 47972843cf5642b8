"""After both account controls: whoever may come in still does, whoever fails too often does not, and work goes on."""

from __future__ import annotations

import base64
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko
import pytest
import testinfra

from medsec.catalogue.controls import Controls, load_control
from medsec.engines.base import Work
from medsec.engines.registry import engine
from medsec.evidence.findings import Verdict
from medsec.inventory import Inventory
from medsec.judge.judge import judge
from medsec.lab import Lab, LabHost
from medsec.probes import private_etc
from medsec.trials import staging
from medsec.trials.cases import Case

ROLES = Path(__file__).parents[2] / "roles"
CONTROLS = Controls(
    {
        control.id: control
        for control in (
            load_control(ROLES / "accounts/controls" / name / "control.yml")
            for name in ("password_quality_enforced", "login_locked_after_failures")
        )
    }
)
FIRST = "Vr7#kd2%Ptz9"
GOOD = "Hw4=mq8+Lsx3"
BETTER = "Bn6@fj5_Ryc2"
WEAK = "hospital2024"

# A person at a console: a terminal of its own, prompts waited for, answers typed.
CONSOLE = """
import os, pty, select, sys, time
prompts = [(b"assword:", sys.argv[2]), (b"$ ", "id -un; echo terminal-$((40+2)); exit")]
child, terminal = pty.fork()
if child == 0:
    os.execvp("login", ["login", sys.argv[1]])
seen, end = b"", time.monotonic() + 40
while time.monotonic() < end:
    if select.select([terminal], [], [], 0.2)[0]:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            # login hangs the terminal up for a moment before it takes it.
            if os.waitpid(child, os.WNOHANG)[0]:
                break
            time.sleep(0.1)
            continue
        seen += data
    if prompts and prompts[0][0] in seen.rsplit(b"\\n", 1)[-1]:
        os.write(terminal, prompts.pop(0)[1].encode() + b"\\n")
print(seen.decode(errors="replace"))
"""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(pair, id="-".join(pair), marks=pytest.mark.xdist_group(f"survivor-{pair[0]}"))
        for pair in (("bookworm", "ansible"), ("trixie", "pyinfra"))
    ],
)
def hardened(
    request: pytest.FixtureRequest, lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LabHost]:
    """A host on which one engine applied both controls, and the other found nothing left to do."""
    suite, tool = request.param
    host = lab.add_host(f"survivor-{suite}", kind="server", suite=suite)
    try:
        as_root(host, f"useradd -m -s /bin/bash -G sudo nurse; echo 'nurse:{FIRST}' | chpasswd")
        as_root(host, "echo '* * * * * nurse touch /home/nurse/cron-ran' > /etc/cron.d/survival")
        inventory = inventory_of(lab, host, tmp_path_factory.mktemp("site"))
        assert apply(inventory, host, tool) > 0
        assert apply(inventory, host, "pyinfra" if tool == "ansible" else "ansible") == 0
        findings = judge(inventory, list(inventory.hosts.values()), list(CONTROLS.values())).findings
        assert [
            (finding.verdict, finding.text) for finding in findings if finding.verdict is not Verdict.PASS
        ] == []
        yield host
    finally:
        lab.remove_host(host.name)


def inventory_of(lab: Lab, host: LabHost, folder: Path) -> Inventory:
    control = next(iter(CONTROLS.values()))
    plain = next(scenario for scenario in control.violations if not scenario.parameters)
    return staging.write_inventory(folder, lab, {host.name: (Case(control, plain, ""), host)})


def apply(inventory: Inventory, host: LabHost, tool: str) -> int:
    result = engine(tool).run(Work(inventory, CONTROLS, {host.name: list(CONTROLS)}, "apply"), lambda event: None)
    assert result.complete, result.failures
    return sum(outcome.changed for outcome in result.outcomes.values())


def as_root(host: LabHost, script: str) -> str:
    done = host.run_as_root(script)
    done.check_returncode()
    return done.stdout


def by_password(host: LabHost, password: str, user: str = "nurse") -> paramiko.SSHClient:
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())  # the host of a lab, reached by its own bridge
    client.connect(
        host.address, username=user, password=password, allow_agent=False, look_for_keys=False, auth_timeout=60
    )
    return client


def su(
    host: LabHost, *typed: str, command: str = "id -un", user: str = "nurse"
) -> subprocess.CompletedProcess[str]:
    return host.ssh(f"su {user} -c '{command}'", input="".join(f"{line}\n" for line in typed))


def reset(host: LabHost, user: str = "nurse") -> None:
    as_root(host, f"faillock --user {user} --reset")


@pytest.fixture(autouse=True)
def known_password(hardened: LabHost) -> None:
    """The user starts each test unlocked, with a password that is known, set by root through PAM."""
    reset(hardened)
    as_root(hardened, f"echo 'nurse:{FIRST}' | chpasswd")


def test_the_operator_comes_in_by_key_and_may_use_sudo(hardened: LabHost) -> None:
    done = hardened.ssh("sudo -n id -u")
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr


def test_wrong_passwords_for_the_operator_do_not_shut_his_key_out(hardened: LabHost) -> None:
    for _ in range(5):
        assert su(hardened, "wrong", user="admin").returncode != 0
    assert as_root(hardened, "faillock --user admin").count(" V") >= 5
    done = hardened.ssh("sudo -n id -u")
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr


def test_su_takes_the_right_password_and_no_wrong_one(hardened: LabHost) -> None:
    done = su(hardened, FIRST)
    assert (done.returncode, done.stdout.strip()) == (0, "nurse"), done.stderr
    assert su(hardened, "wrong").returncode != 0


def test_the_console_takes_the_right_password(hardened: LabHost) -> None:
    script = base64.b64encode(CONSOLE.encode()).decode()
    seen = as_root(
        hardened, f"echo {script} | base64 -d > /tmp/console.py; python3 /tmp/console.py nurse '{FIRST}'"
    )
    assert "terminal-42" in seen, seen


def test_ssh_takes_the_right_password_until_there_were_too_many_wrong_ones(hardened: LabHost) -> None:
    by_password(hardened, FIRST).close()
    for _ in range(5):
        with pytest.raises(paramiko.AuthenticationException):
            by_password(hardened, "wrong")
    with pytest.raises(paramiko.AuthenticationException):
        by_password(hardened, FIRST)
    reset(hardened)
    by_password(hardened, FIRST).close()


def test_root_can_become_a_locked_user(hardened: LabHost) -> None:
    for _ in range(5):
        assert su(hardened, "wrong").returncode != 0
    assert as_root(hardened, "su nurse -c 'id -un'").strip() == "nurse"


def test_sudo_asks_for_the_password_and_takes_it(hardened: LabHost) -> None:
    with by_password(hardened, FIRST) as client:
        _, out, err = client.exec_command(f"echo '{FIRST}' | sudo -S -p '' id -u", timeout=60)
        assert out.read().decode().strip() == "0", err.read().decode()


def test_a_user_changes_his_password_to_a_good_one(hardened: LabHost) -> None:
    done = su(hardened, FIRST, FIRST, GOOD, GOOD, command="passwd")
    assert done.returncode == 0, done.stderr
    assert su(hardened, GOOD).stdout.strip() == "nurse"


def test_a_user_cannot_change_it_to_a_weak_one(hardened: LabHost) -> None:
    assert su(hardened, FIRST, FIRST, WEAK, WEAK, command="passwd").returncode != 0
    assert su(hardened, FIRST).stdout.strip() == "nurse"


def test_root_sets_good_passwords_only(hardened: LabHost) -> None:
    assert hardened.run_as_root(f"echo 'nurse:{WEAK}' | chpasswd").returncode != 0
    assert hardened.run_as_root(f"printf '{WEAK}\\n{WEAK}\\n' | passwd nurse").returncode != 0
    as_root(hardened, f"printf '{BETTER}\\n{BETTER}\\n' | passwd nurse")
    assert su(hardened, BETTER).stdout.strip() == "nurse"


def test_an_expired_password_is_changed_at_login(hardened: LabHost) -> None:
    as_root(hardened, "chage -d 0 nurse")
    assert su(hardened, FIRST, FIRST, WEAK, WEAK).returncode != 0
    done = su(hardened, FIRST, FIRST, GOOD, GOOD)
    assert (done.returncode, done.stdout.strip().splitlines()[-1:]) == (0, ["nurse"]), done.stderr


def test_cron_runs_its_jobs(hardened: LabHost) -> None:
    for _ in range(90):
        if hardened.run_as_root("test -e /home/nurse/cron-ran").returncode == 0:
            return
        time.sleep(1)
    pytest.fail(as_root(hardened, "journalctl -u cron --no-pager | tail -n 20"))


def test_the_check_leaves_nothing_behind(hardened: LabHost) -> None:
    """The controls were judged on this host: its accounts, tallies and mounts show nothing of it."""
    assert traces(hardened) == ""


def test_a_killed_check_leaves_nothing_behind(hardened: LabHost, lab: Lab) -> None:
    host = testinfra.get_host(f"ssh://{hardened.name}", ssh_config=str(lab.ssh_config_path), sudo=True)
    script = """
        echo 'mkilledone:x:2000000001:2000000001::/nonexistent:/bin/sh' >> /etc/passwd
        echo 'mkilledone::19000:0:99999:7:::' >> /etc/shadow
        : > /run/faillock/mkilledone
        : > /run/proof-is-under-way
        sleep 300
    """
    with ThreadPoolExecutor() as pool:
        proof = pool.submit(private_etc.run, host, script, hide=["/run/faillock"])
        deadline = time.monotonic() + 60
        while hardened.run_as_root("test -e /run/proof-is-under-way").returncode != 0:
            assert time.monotonic() < deadline
        assert hardened.ssh("su mkilledone -c true").returncode != 0, "the account is nobody's but the proof's"
        assert "mkilledone" not in as_root(hardened, "getent passwd; ls /run/faillock")
        as_root(hardened, "grep -l '^medsec ' /proc/[0-9]*/mounts | cut -d/ -f3 | xargs kill -9")
        with pytest.raises(Exception, match=r"exit|broke off|CommandResult"):
            proof.result(timeout=60)
    assert traces(hardened) == ""


def traces(host: LabHost) -> str:
    """What a proof could leave: accounts, counts of failures, mounts in any process's namespace, its own files."""
    names = "mkilledone|[mn][bcdfghjklmnpqrstvwxz]{8}"
    return as_root(
        host,
        f"grep -E '^({names}):|:2[0-9]{{9}}:' /etc/passwd /etc/shadow /etc/group /etc/subuid || :; "
        f"ls /run/faillock | grep -xE '{names}' || :; grep -l '^medsec ' /proc/[0-9]*/mounts || :; "
        "ls /etc/.medsec-copy /tmp/etc /tmp/rows 2> /dev/null || :",
    )
