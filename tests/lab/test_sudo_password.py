"""A host whose sudo asks for a password: everything works there, and the password shows up nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from medsec.catalogue.controls import load_controls
from medsec.evidence.findings import Verdict
from medsec.inventory import load_inventory
from medsec.judge import Limits, SshTransport, judge
from medsec.lab import Lab, LabHost
from medsec.resources import root
from tests import engine_site as site

# What a shell, a template and YAML might trip over.
SECRET = f"Pw{os.urandom(6).hex()} '\"\\$x;{{{{ y }}}}%密"
CONTROLS = ["--control", "root_login_refused", "--control", "critical_files_protected"]
ENGINES = ["ansible", "pyinfra"]
# sudo grants by the group only, and counts wrong passwords.
ASKS = f"""\
rm -f /etc/sudoers.d/admin
chpasswd <<'END'
admin:{SECRET}
END
sed -i 's/^auth.*pam_unix.so nullok$/auth requisite pam_faillock.so preauth\\nauth [success=1 default=ignore] pam_unix.so nullok\\nauth [default=die] pam_faillock.so authfail\\nauth sufficient pam_faillock.so authsucc/' /etc/pam.d/common-auth
su admin -s /bin/sh -c 'sudo -n true' 2> /dev/null && exit 9
grep -q authsucc /etc/pam.d/common-auth
"""


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def host(request: pytest.FixtureRequest, lab: Lab) -> Iterator[LabHost]:
    """A host whose `admin` has to give a password; Debian 13's sudo gives each command a terminal of its own."""
    made = lab.add_host(f"asks-{request.param}", kind="server", suite=request.param)
    made.run_as_root("systemctl is-system-running --wait > /dev/null", timeout=120)
    done = made.run_as_root(ASKS)
    assert done.returncode == 0, done.stderr
    yield made
    lab.remove_host(made.name)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere/secret"
    path.parent.mkdir()
    path.touch(mode=0o600)
    path.write_text(SECRET + "\n", encoding="utf-8")
    return path


def make_site(lab: Lab, host: LabHost, folder: Path, **more: Any) -> Path:
    login = {
        "ansible_host": host.address,
        "ansible_user": host.user,
        "ansible_become": True,
        "ansible_ssh_private_key_file": str(lab.identity_path),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={lab.known_hosts_path} -o StrictHostKeyChecking=yes",
        **more,
    }
    return site.make_site(folder, {host.name: login})


def medsec(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("medsec"), "--lang", "en", *arguments],
        cwd=folder,
        env={**os.environ, "MEDSEC_INVENTORY": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@dataclass
class Sampler:
    """Reads the command line and the environment of every process of this machine, on which the hosts' run as well."""

    secret: bytes
    found: set[str] = field(default_factory=set)
    seen: set[bytes] = field(default_factory=set)
    _ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._ended.wait(0.02):
            self.look()

    def look(self) -> None:
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                for name in ("cmdline", "environ"):
                    self._read(Path(entry.path) / name)

    def _read(self, path: Path) -> None:
        try:
            data = path.read_bytes()
        except OSError:
            return  # it has ended
        self.seen.add(data[:60])
        if self.secret in data:
            self.found.add(f"{path}: {data[:300]!r}")


@contextmanager
def sampled() -> Iterator[Sampler]:
    sampler = Sampler(SECRET[:14].encode())
    thread = threading.Thread(target=sampler.run)
    thread.start()
    try:
        yield sampler
    finally:
        sampler._ended.set()
        thread.join()


def holding(*roots: Path) -> list[str]:
    """Return the files below `roots` that hold the password."""
    done = subprocess.run(
        ["grep", "-rlaF", "--devices=skip", SECRET[:14], *roots], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


def test_the_sampler_and_the_search_see_what_they_look_for(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text(f"x {SECRET}", encoding="utf-8")
    assert holding(tmp_path) == [str(tmp_path / "kept")]
    for command, environment in (
        (["sh", "-c", "sleep 1; :", "sh", SECRET], {}),
        (["sh", "-c", "sleep 1; :"], {"X": SECRET}),
    ):
        with sampled() as sampler:
            subprocess.run(command, env={**os.environ, **environment}, check=True)
        assert sampler.found


@pytest.mark.parametrize("tool", ENGINES)
def test_judged_planned_changed_and_taken_back_without_a_trace_of_the_password(
    lab: Lab, host: LabHost, tmp_path: Path, secret: Path, tool: str
) -> None:
    folder = make_site(lab, host, tmp_path / "site", medsec_become_password_from=f"file:{secret}")
    before = set(Path("/tmp").iterdir())
    with sampled() as sampler:
        verified = medsec(folder, "verify", *CONTROLS)
        planned = medsec(folder, "plan", "--engine", tool, "-o", "plan.json", *CONTROLS)
        applied = medsec(folder, "apply", "--yes", "--engine", tool, *CONTROLS)
        again = medsec(folder, "apply", "--yes", "--all", "--engine", tool, *CONTROLS)
        run = min(folder.glob("runs/*/changes.jsonl")).parent
        rolled = medsec(folder, "rollback", "--yes", str(run))
        after = medsec(folder, "verify", *CONTROLS)
        doctor = medsec(folder, "doctor")
    assert verified.returncode == 1, verified.stdout + verified.stderr
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "Nothing was changed" in planned.stdout
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"{tool}: 0 changes" in again.stdout
    assert rolled.returncode == 0, rolled.stdout + rolled.stderr
    assert after.returncode == 1, after.stdout + after.stderr
    assert "may use sudo" in doctor.stdout, doctor.stdout + doctor.stderr
    states = [json.loads(line)["state"] for line in (run / "changes.jsonl").read_text().splitlines()]
    assert "confirmed" in states, "no risky step was proved: this shows nothing of the guard"

    assert not sampler.found
    assert any(b"guard.sh" in data for data in sampler.seen), "no process of the host was seen"
    assert any(data.startswith(b"sudo\0-") for data in sampler.seen)
    for done in (verified, planned, applied, again, rolled, after, doctor):
        assert SECRET[:14] not in done.stdout + done.stderr
    new = [path for path in Path("/tmp").iterdir() if path not in before and "pytest" not in path.name]
    assert holding(folder, *new) == []
    assert holding(host.upper) == []
    journal = host.run_as_root(f"journalctl --no-pager -o json | grep -cF {SECRET[:14]}").stdout
    assert journal.strip() == "0"


def test_a_wrong_password_is_said_once_and_does_not_lock_the_account(
    lab: Lab, host: LabHost, tmp_path: Path, secret: Path
) -> None:
    secret.write_text("not this one\n", encoding="utf-8")
    folder = make_site(lab, host, tmp_path / "site", medsec_become_password_from=f"file:{secret}")
    host.run_as_root("faillock --user admin --reset").check_returncode()
    for command in (["verify"], ["apply", "--yes"], ["apply", "--yes", "--engine", "pyinfra"], ["doctor"]):
        started = time.monotonic()
        options = {"verify": ["-f", "json", *CONTROLS], "apply": CONTROLS, "doctor": []}[command[0]]
        done = medsec(folder, *command, *options)
        told = done.stdout + done.stderr
        assert done.returncode == (1 if command == ["doctor"] else 3), told
        # The summary of a run is cut to the screen.
        assert "no privilege: sudo does not make 'admin' root" in told
        assert command[0] == "apply" or f"host {host.name}: " in told
        assert "not this one" not in told
        assert time.monotonic() - started < 60
        counted = host.run_as_root("faillock --user admin | grep -c 'sudo .*V$'").stdout.strip()
        assert counted == "2", "one try, and the end that sudo meets behind it"
        host.run_as_root("faillock --user admin --reset").check_returncode()


@pytest.mark.parametrize(
    ("source", "words"),
    [("file:/nowhere/at/all", "No such file"), ("credential:sudo", "LoadCredential")],
)
def test_a_password_that_cannot_be_read_is_an_error_of_this_host(
    lab: Lab, host: LabHost, tmp_path: Path, source: str, words: str
) -> None:
    folder = make_site(lab, host, tmp_path / "site", medsec_become_password_from=source)
    assert medsec(folder, "apply", "--yes", *CONTROLS).returncode == 3
    done = medsec(folder, "verify", "-f", "json", *CONTROLS)
    assert done.returncode == 3, done.stdout + done.stderr
    assert words in done.stdout
    assert f"host {host.name}: medsec_become_password_from: {source}" in done.stdout


def test_where_sudo_asks_and_no_password_is_named_it_says_how_to_name_one(
    lab: Lab, host: LabHost, tmp_path: Path
) -> None:
    done = medsec(make_site(lab, host, tmp_path / "site"), "verify", "-f", "json", *CONTROLS)
    assert done.returncode == 3
    assert "medsec_become_password_from: credential:NAME" in done.stdout


def test_it_costs_no_more_messages_than_without(lab: Lab, host: LabHost, tmp_path: Path, secret: Path) -> None:
    source = f"file:{secret}"
    inventory = load_inventory(make_site(lab, host, tmp_path / "site", medsec_become_password_from=source))
    controls = [load_controls(root() / "roles")[name] for name in CONTROLS[1::2]]
    transport = SshTransport(Limits())
    result = judge(inventory, list(inventory.hosts.values()), controls, transport=transport)
    assert Verdict.ERROR not in {finding.verdict for finding in result.findings}, result.findings
    assert transport.traffic[host.name].frames <= 2


def test_where_sudo_asks_for_nothing_the_password_is_read_by_nobody(
    lab: Lab, host: LabHost, tmp_path: Path, secret: Path
) -> None:
    host.run_as_root("echo 'admin ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/zz-free").check_returncode()
    try:
        folder = make_site(lab, host, tmp_path / "site", medsec_become_password_from=f"file:{secret}")
        inventory = load_inventory(folder)
        connection = SshTransport(Limits()).connect(inventory.hosts[host.name])
        answer = connection.run("cat; echo end; printf '\\351' >&2")
        assert (answer.rc, answer.stdout, answer.stderr) == (0, "end\n", "\\xe9")
        done = medsec(folder, "apply", "--yes", "--engine", "pyinfra", *CONTROLS)
        assert done.returncode == 0, done.stdout + done.stderr
        done = medsec(folder, "apply", "--yes", "--all", *CONTROLS)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        host.run_as_root("rm /etc/sudoers.d/zz-free").check_returncode()
