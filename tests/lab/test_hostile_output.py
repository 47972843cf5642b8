"""Hosts that print what they like: floods, escapes, bytes that are no text, file names; only their own verdicts suffer."""

from __future__ import annotations

import base64
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medsec.lab import Lab, LabHost
from tests import engine_site as site
from tests.lab import faults

ENGINES = ["ansible", "pyinfra"]
MEGABYTES = 100
STEERING = {"\x1b", "\x07", "\x00", "\r", "\x9b", "\u202e"}
# What each control's command prints; it then fails, so that its words are shown.
PRINTED = {
    "a_lines_out": f"yes 'one line of many' | head -c {MEGABYTES}000000; exit 1",
    "b_one_line_err": f"head -c {MEGABYTES}000000 /dev/zero | tr '\\\\0' x >&2; exit 1",
    "c_escapes": "printf 'a\\033[2Jb\\033]0;owned\\007c\\033P+q\\033\\134d\\342\\200\\256e\\r\\n' | tee /dev/stderr; exit 1",
    "d_bytes": "printf 'gbk \\326\\320\\316\\304 nul \\000 cut \\342\\200' | tee /dev/stderr; exit 1",
}
TASKS = """\
---
- name: Print what the host likes
  # A module would hold the flood back on the host, for minutes.
  ansible.builtin.raw: "{{ %(id)s_text }}"
  changed_when: true
"""
DEPLOY = """\
from pyinfra.operations import server

from medsec.inventory import Params


def deploy(params: Params) -> None:
    server.shell(name="Print what the host likes", commands=[params.text])
"""
CHECK = """\
from medsec.text import says


def check(host, params):
    answer = host.run(params.text)
    said = (answer.stdout + answer.stderr)[-4000:]
    assert answer.rc == 0, says(en=f"met {said}", zh=f"实际为 {said}")
"""
WORK = """\
import json, resource, sys
from pathlib import Path
from medsec.catalogue.controls import Controls, load_control
from medsec.engines.base import Work
from medsec.engines.registry import engine
from medsec.inventory import load_inventory
from medsec.judge import Limits, judge
folder, roles, how = sys.argv[1:]
inventory = load_inventory(Path(folder))
found = [load_control(path) for path in sorted(Path(roles).glob("*/controls/*/control.yml"))]
if how == "judge":
    result = judge(inventory, list(inventory.hosts.values()), found, limits=Limits(command=60))
    told = [[f.host, f.control, f.verdict.value, f.text.en + f.text.zh] for f in result.findings]
    told += [[f.host, f.control, "evidence", str(len(r.stdout + r.stderr))] for f in result.findings for r in f.evidence]
else:
    events = []
    ids = [control.id for control in found]
    todo = {name: ids for name in inventory.hosts}
    result = engine(how).run(Work(inventory, Controls({c.id: c for c in found}), todo, "apply"), events.append)
    told = [[h, c, "failed" if o.failed else "finished" if o.finished else "?", str(o.failed)] for (h, c), o in result.outcomes.items()]
    told += [[e.host, e.control, "event", f"{e.message} {e.diff}"] for e in events]
usage = {who: resource.getrusage(getattr(resource, who)).ru_maxrss // 1024 for who in ("RUSAGE_SELF", "RUSAGE_CHILDREN")}
print(json.dumps({"told": told, **usage}))
"""


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> Iterator[dict[str, LabHost]]:
    made = {name: lab.add_host(name, kind="server") for name in ("loud", "well")}
    for host in made.values():
        host.run_as_root("systemctl is-system-running --wait > /dev/null", timeout=120)
    yield made
    for name in made:
        lab.remove_host(name)


@pytest.fixture
def folder(lab: Lab, hosts: dict[str, LabHost], tmp_path: Path) -> Path:
    """A site where `loud` prints and `well`, given the same controls, does what is asked."""
    options = f"-o UserKnownHostsFile={lab.known_hosts_path} -o StrictHostKeyChecking=yes"
    logins: dict[str, dict[str, Any]] = {
        name: {
            "ansible_host": host.address,
            "ansible_user": host.user,
            "ansible_become": True,
            "ansible_ssh_private_key_file": str(lab.identity_path),
            "ansible_ssh_common_args": options,
            **{f"{control}_text": text if name == "loud" else "true" for control, text in PRINTED.items()},
        }
        for name, host in hosts.items()
    }
    for control in [*PRINTED, "e_well"]:
        made = site.make_control(tmp_path / "roles", control, tasks=TASKS, deploy=DEPLOY, path="/x")
        (made.home / "check.py").write_text(CHECK, encoding="utf-8")
        logins["loud"].setdefault(f"{control}_text", "true")
        logins["well"].setdefault(f"{control}_text", "true")
    return site.make_site(tmp_path / "site", logins)


def run(folder: Path, how: str) -> dict[str, Any]:
    command = [sys.executable, "-c", WORK, str(folder), str(folder.parent / "roles"), how]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr[-4000:]
    assert not set(done.stdout + done.stderr) & (STEERING | {"\x1b"})
    value: dict[str, Any] = json.loads(done.stdout)
    print({key: part for key, part in value.items() if key != "told"})
    return value


def test_a_check_that_is_flooded_is_an_error_and_the_others_are_judged(folder: Path) -> None:
    got = run(folder, "judge")
    verdicts = {(host, control): verdict for host, control, verdict, _ in got["told"] if verdict != "evidence"}
    assert verdicts == {
        ("loud", "a_lines_out"): "error",
        ("loud", "b_one_line_err"): "error",
        ("loud", "c_escapes"): "fail",
        ("loud", "d_bytes"): "fail",
        ("loud", "e_well"): "pass",
        **{("well", control): "pass" for control in [*PRINTED, "e_well"]},
    }
    texts = {control: text for host, control, verdict, text in got["told"] if verdict in ("fail", "error")}
    assert "wrote more than" in texts["a_lines_out"]
    assert "gbk \\xd6\\xd0\\xce\\xc4 nul \\x00 cut \\xe2\\x80" in texts["d_bytes"]
    assert not any(set(text) & STEERING for text in texts.values())
    assert got["RUSAGE_SELF"] < 300, "MiB of memory"


@pytest.mark.parametrize("tool", ENGINES)
def test_a_task_that_floods_fails_alone(folder: Path, tool: str) -> None:
    got = run(folder, tool)
    states = {(host, control): state for host, control, state, _ in got["told"] if state != "event"}
    assert states == {
        **{("loud", control): "failed" for control in PRINTED},
        ("loud", "e_well"): "finished",
        **{("well", control): "finished" for control in [*PRINTED, "e_well"]},
    }
    assert max(got["RUSAGE_SELF"], got["RUSAGE_CHILDREN"]) < 700, "MiB of memory"


NAMES = [
    "c;touch ${IFS}pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "-rf",
    "sp ace",
    "quo'te\"d",
    "back\\slash",
    "gbk\udcd6\udcd0",
]
CONTROLLING = ["a\nb", "tab\there", "\x1b[2Jx"]
NAMED = ["critical_files_protected", "logs_kept_six_months", "remote_control_software_absent"]
FOLDERS = ["/etc/cron.d", "/etc/sudoers.d", "/etc/logrotate.d", "/home/admin", "/opt"]


@pytest.mark.parametrize("tool", ENGINES)
def test_hostile_file_names_are_changed_and_taken_back_like_others(lab: Lab, tmp_path: Path, tool: str) -> None:
    host = lab.add_host(f"names-{tool}", kind="server")
    try:
        host.run_as_root("systemctl is-system-running --wait > /dev/null", timeout=120)
        host.ssh("sudo -n true").check_returncode()  # sudo leaves a mark in the home at the first time
        # Ansible refuses an answer that is no UTF-8, and fails the task.
        names = NAMES if tool == "pyinfra" else NAMES[:-1]
        stage(host, names)
        before = listed(host)
        faults.inventory(lab, host, tmp_path / "site")
        options = [word for name in NAMED for word in ("--control", name)]
        applied = medsec(tmp_path / "site", "apply", "--yes", "--engine", tool, *options)
        assert applied.returncode == 0, applied.stdout + applied.stderr
        assert not set(applied.stdout + applied.stderr) & (STEERING - {"\r"})
        after = listed(host)
        changed = {path for path in before if after.get(path) != before[path]}
        assert {f"/etc/sudoers.d/{name}" for name in names} <= changed
        [run] = [path.parent for path in (tmp_path / "site").glob("runs/*/changes.jsonl")]
        shown = medsec(tmp_path / "site", "runs", "show", str(run))
        assert shown.returncode == 0, shown.stderr
        assert not set(shown.stdout) & (STEERING - {"\r"})
        rolled = medsec(tmp_path / "site", "rollback", "--yes", str(run))
        assert rolled.returncode == 0, rolled.stdout + rolled.stderr
        restored = listed(host)
        both = {path for path in {*before, *restored} if "/.ansible" not in path}  # Ansible's own folder stays
        unlike = {path: (before.get(path), restored.get(path)) for path in both}
        assert {path: pair for path, pair in unlike.items() if pair[0] != pair[1]} == {}
        assert host.run_as_root("find / -xdev -name '*pwned' -newer /etc/hostname ! -name '*touch*'").stdout == ""
    finally:
        lab.remove_host(host.name)


@pytest.mark.parametrize("tool", ENGINES)
def test_a_name_that_would_be_read_as_another_line_is_an_error_that_names_it(
    lab: Lab, hosts: dict[str, LabHost], tmp_path: Path, tool: str
) -> None:
    host = hosts["well"]
    host.run_as_root("printf '# x\\n' > \"$(printf '/etc/sudoers.d/x\\nmode')\"").check_returncode()
    try:
        faults.inventory(lab, host, tmp_path / "site")
        only = ["--control", "critical_files_protected"]
        for command in (["verify", "-f", "json"], ["apply", "--yes", "--all", "--engine", tool]):
            done = medsec(tmp_path / "site", *command, *only)
            assert done.returncode == 3, done.stdout + done.stderr
            told = done.stdout + done.stderr
            assert command[0] == "apply" or "a control character is in the name of /etc/sudoers.d/x" in told
    finally:
        host.run_as_root("rm /etc/sudoers.d/x*").check_returncode()


def stage(host: LabHost, names: list[str]) -> None:
    paths = [f"{folder}/{name}" for folder in FOLDERS for name in names]
    # Where modes are judged, such a name is an error of its own (the next test).
    paths += [f"{folder}/{name}" for folder in ("/home/admin", "/opt") for name in CONTROLLING]
    lines = [f"printf '# nothing\\n' > {shlex.quote(path)}; chmod 666 {shlex.quote(path)}" for path in paths]
    script = "\n".join(["set -e", *lines, "touch /home/admin/.netrc; chmod 666 /home/admin/.netrc"])
    packed = base64.b64encode(script.encode("utf-8", "surrogateescape")).decode()
    host.run_as_root(f"echo {packed} | base64 -d | sh").check_returncode()


def listed(host: LabHost) -> dict[str, str]:
    folders = " ".join(FOLDERS)
    done = host.run_as_root(f"find {folders} -xdev -printf '%p\\t%y %m %U:%G %s\\0' | base64 -w 0")
    done.check_returncode()
    rows = base64.b64decode(done.stdout).decode("utf-8", "surrogateescape").split("\0")[:-1]
    return dict(row.rsplit("\t", 1) for row in rows)


def medsec(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("medsec"), "--lang", "en", *arguments],
        cwd=folder,
        env={**os.environ, "MEDSEC_INVENTORY": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
