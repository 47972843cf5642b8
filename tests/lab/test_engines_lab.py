"""Both engines on real hosts: what they change, foresee, survive and say."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medsec.engines.base import EngineResult, Event, Status, Work
from medsec.engines.registry import engine
from medsec.inventory import load_inventory
from medsec.lab import Lab
from medsec.trials import overlay
from tests import engine_site as site

ENGINES = ["ansible", "pyinfra"]


# One worker: the hosts are started once.
pytestmark = pytest.mark.xdist_group("engines")


@pytest.fixture(scope="module", autouse=True)
def hosts(lab: Lab) -> Iterator[None]:
    """Three hosts: `well`, `bare` without Python, `nosudo` whose admin may not become root."""
    names = ("well", "bare", "nosudo")
    for name in names:
        lab.add_host(name, kind="server")
    lab.host("bare").run_as_root("mkdir /root/away; mv /usr/bin/python3* /root/away/").check_returncode()
    refuse = "rm -f /etc/sudoers.d/*; if id -nG admin | grep -qw sudo; then gpasswd -d admin sudo; fi"
    lab.host("nosudo").run_as_root(refuse).check_returncode()
    yield
    for name in names:
        lab.remove_host(name)


@pytest.fixture
def target(lab: Lab) -> str:
    """A folder of the test's own on the hosts, where the overlay's noise does not hide what is written."""
    folder = f"/opt/test-{time.monotonic_ns()}"
    for name in ("well", "bare"):
        lab.host(name).run_as_root(f"mkdir {folder}").check_returncode()
    return folder


@pytest.fixture
def work(lab: Lab, tmp_path: Path, target: str) -> Work:
    roles = tmp_path / "roles"
    site.make_handlers(roles)
    controls = site.catalogue(
        site.make_control(roles, "a_first", path=f"{target}/first"),
        site.make_control(roles, "b_broken", tasks=site.BROKEN_TASKS, deploy=site.BROKEN_DEPLOY, path="/x"),
        site.make_control(
            roles, "c_handled", tasks=site.HANDLED_TASKS, deploy=site.HANDLED_DEPLOY, path=f"{target}/handled"
        ),
        site.make_control(roles, "d_last", path=f"{target}/last"),
    )
    hosts = {name: login(lab, name) for name in ("well", "bare", "nosudo")}
    folder = site.make_site(tmp_path / "site", hosts, test_folder=target)
    return Work(load_inventory(folder), controls, {"well": ["a_first", "c_handled"]}, "apply")


def login(lab: Lab, name: str, **more: Any) -> dict[str, Any]:
    return {
        "ansible_host": lab.host(name).address,
        "ansible_user": "admin",
        "ansible_become": True,
        "ansible_ssh_private_key_file": str(lab.identity_path),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={lab.known_hosts_path}",
        **more,
    }


def run(name: str, work: Work, **changes: Any) -> tuple[EngineResult, list[Event]]:
    events: list[Event] = []
    result = engine(name).run(replace(work, **changes), events.append)
    return result, events


def on_host(lab: Lab, name: str, command: str) -> str:
    done = lab.host(name).run_as_root(command)
    done.check_returncode()
    return done.stdout


@pytest.mark.parametrize(("first", "other"), [ENGINES, ENGINES[::-1]], ids=ENGINES)
def test_one_engine_changes_and_neither_changes_again(
    work: Work, lab: Lab, target: str, first: str, other: str
) -> None:
    lab.host("well").ssh("sudo -n true").check_returncode()  # sudo leaves a mark in the home at the first time
    before = overlay.listing(lab.host("well").upper)
    foreseen, shown = run(first, work, mode="plan")
    assert overlay.changed(before, overlay.listing(lab.host("well").upper)) == []
    assert foreseen.outcomes["well", "a_first"].changed == 1
    assert foreseen.outcomes["well", "c_handled"].changed == 2  # the file, and what follows from its change
    for file in ("first", "handled"):
        (diff,) = [event.diff for event in shown if event.diff and f"{target}/{file}\n" in event.diff]
        assert "+as wanted" in diff

    result, events = run(first, work)
    written = overlay.changed(before, overlay.listing(lab.host("well").upper))
    assert written == [f"{target}/first", f"{target}/handled", f"{target}/handled.told"]
    assert result.complete
    assert result.changed == foreseen.changed == 3
    assert [event.control for event in events if event.status is Status.CHANGED] == [
        "a_first",
        "c_handled",
        "c_handled",
    ]
    assert (
        on_host(lab, "well", f"stat -c '%a %U %G' {target}/first; cat {target}/first")
        == "600 root root\nas wanted\n"
    )
    assert on_host(lab, "well", f"cat {target}/handled.told") == "told\n"
    for again in (first, other):
        result, _ = run(again, work)
        assert (again, result.changed, result.complete) == (again, 0, True)


@pytest.mark.parametrize("name", ENGINES)
def test_a_failure_stays_with_its_control(work: Work, lab: Lab, target: str, name: str) -> None:
    result, events = run(name, work, todo={"well": ["a_first", "b_broken", "c_handled", "d_last"]})
    assert list(result.failures) == [("well", "b_broken")]
    assert not result.outcomes["well", "b_broken"].finished
    assert result.outcomes["well", "d_last"].finished
    assert on_host(lab, "well", f"cat {target}/last") == "as wanted\n"
    assert [event.control for event in events if event.status is Status.FAILED] == ["b_broken"]


@pytest.mark.parametrize("name", ENGINES)
def test_hosts_that_cannot_be_worked_on_say_why_and_the_others_go_on(
    work: Work, lab: Lab, tmp_path: Path, target: str, name: str
) -> None:
    strangers = tmp_path / "strangers"
    changed = tmp_path / "changed"
    strangers.touch()
    key = (tmp_path / "other").with_suffix(".pub")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key.with_suffix(""))], check=True)
    changed.write_text(f"{lab.host('well').address} {' '.join(key.read_text().split()[:2])}\n")
    hosts = {
        "well": login(lab, "well"),
        "nosudo": login(lab, "nosudo"),
        "dead": login(lab, "well", ansible_port=9),
        "stranger": login(lab, "well", ansible_ssh_common_args=f"-o UserKnownHostsFile={strangers}"),
        "changed": login(lab, "well", ansible_ssh_common_args=f"-o UserKnownHostsFile={changed}"),
        "keyless": login(lab, "well", ansible_ssh_private_key_file=str(key.with_suffix(""))),
    }
    inventory = load_inventory(site.make_site(tmp_path / "site2", hosts, test_folder=target))
    result, _ = run(name, work, inventory=inventory, todo={host: ["a_first"] for host in hosts})
    assert result.outcomes["well", "a_first"].finished
    expected = {
        "nosudo": "may not become root by sudo",
        "dead": "does not answer",
        "stranger": "host key is not known here",
        "changed": "another SSH host key than the known one",
        "keyless": "refused the login",
    }
    for host, text in expected.items():
        assert text in result.unreachable.get(host, "no reason"), host
    assert set(result.failures) == {(host, "a_first") for host in expected}


def test_pyinfra_needs_no_python_on_the_host_and_ansible_says_so(work: Work, lab: Lab, target: str) -> None:
    refused, _ = run("ansible", work, todo={"bare": ["a_first"]})
    assert "use --engine pyinfra" in refused.unreachable["bare"]
    result, _ = run("pyinfra", work, todo={"bare": ["a_first"]})
    assert result.complete
    assert on_host(lab, "bare", f"cat {target}/first") == "as wanted\n"


@pytest.mark.parametrize("name", ENGINES)
def test_a_host_lost_in_the_middle_is_told_and_the_rest_is_left(
    work: Work, lab: Lab, tmp_path: Path, name: str
) -> None:
    lab.add_host("lost", kind="server")
    hosts = {"lost": login(lab, "lost"), "well": login(lab, "well")}
    inventory = load_inventory(site.make_site(tmp_path / "site2", hosts))
    tasks = "---\n- name: Wait\n  ansible.builtin.command: sleep 20\n  changed_when: true\n"
    deploy = (
        "from pyinfra.operations import server\n\n\n"
        "def deploy(params):\n    server.shell(name='Wait', commands=['sleep 20'])\n"
    )
    slow = site.make_control(tmp_path / "roles", "a_slow", tasks=tasks, deploy=deploy, path="/x")
    controls = site.catalogue(slow, *work.controls.values())
    cut = threading.Timer(12, lambda: lab.remove_host("lost"))
    cut.start()
    todo = {"lost": ["a_slow", "d_last"], "well": ["a_first"]}
    result, _ = run(name, work, inventory=inventory, controls=controls, todo=todo)
    cut.join()
    assert result.outcomes["well", "a_first"].finished
    assert set(result.failures) == {("lost", "a_slow"), ("lost", "d_last")}
    assert "lost" in result.unreachable
