"""Whatever goes wrong while a host's way in is changed: people get in again by themselves, and the host is as it was."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from medsec.engines.base import Event
from medsec.evidence.findings import Verdict
from medsec.guard.journal import read_journal
from medsec.guard.session import Session
from medsec.lab import Lab, LabHost
from medsec.trials import overlay
from tests.lab import faults

ENGINES = ["ansible", "pyinfra"]
SSHD = ["/etc/ssh/sshd_config.d/*"]

# What is done to the host, the files and units it touches.
HARM: dict[str, tuple[str, list[str], list[str]]] = {
    "a wrong AllowUsers": (
        "echo 'AllowUsers nobody-at-all' > /etc/ssh/sshd_config.d/00-x.conf; systemctl reload ssh",
        SSHD,
        ["ssh.service"],
    ),
    "a port typo": (
        "echo 'Port 2222' > /etc/ssh/sshd_config.d/00-x.conf; systemctl restart ssh",
        SSHD,
        ["ssh.service"],
    ),
    "sshd that does not start": (
        "echo 'NoSuchOption yes' > /etc/ssh/sshd_config.d/00-x.conf; systemctl stop ssh; systemctl start ssh || echo broken",
        SSHD,
        ["ssh.service"],
    ),
    "a firewall that drops all": (
        "nft 'flush ruleset; table inet x { chain i { type filter hook input priority 0; policy drop; }; }'",
        ["/etc/nftables.conf"],
        ["nftables.service"],
    ),
    "a broken PAM stack": (
        "sed -i '1i account required pam_deny.so' /etc/pam.d/common-account",
        ["/etc/pam.d/*"],
        [],
    ),
    "broken sudoers": (
        "echo 'ALL ALL = (ALL) !ALL' > /etc/sudoers.d/zz-x; chmod 440 /etc/sudoers.d/zz-x",
        ["/etc/sudoers.d/*"],
        [],
    ),
}


@pytest.fixture
def host(lab: Lab) -> Iterator[LabHost]:
    made = lab.add_host(f"f-{time.monotonic_ns() % 10**9}", kind="server")
    made.run_as_root("systemctl is-system-running --wait > /dev/null", timeout=120)
    made.run_as_root("apt-get -q install -y nftables > /dev/null", timeout=300).check_returncode()
    yield made
    lab.remove_host(made.name)


@pytest.mark.parametrize("tool", ENGINES)
@pytest.mark.parametrize("fault", HARM)
def test_harm_is_taken_back_and_a_mended_remedy_then_works(
    lab: Lab, host: LabHost, tmp_path: Path, fault: str, tool: str
) -> None:
    harm, files, units = HARM[fault]
    inventory = faults.inventory(lab, host, tmp_path / "site", medsec_guard_seconds=30)
    # Long enough for the watch to see it.
    broken = faults.control(tmp_path / "roles", f"{harm}; sleep 3", files, units)
    before = overlay.listing(host.upper)
    run = tmp_path / "runs/20261122T000000Z-aaaaaa"
    with faults.watched(lab, host) as watch:
        done = faults.run_apply(faults.select(inventory, broken), tool, run)
    faults.settled(host, run.name)
    assert any(not inside for _, inside in watch.tries), "the fault shut nobody out: it proves nothing"
    assert watch.tries[-1][1]
    assert watch.shut <= faults.LONGEST
    faults.note(fault, tool, watch.shut)
    assert done.result is not None
    outcome = done.result.outcomes[host.name, "a_fault"]
    assert outcome.failed is not None
    assert not outcome.finished
    assert faults.unlike(host, before) == []
    assert [entry.state for entry in read_journal(run)] == ["saved", "reverted"]

    mended = faults.control(tmp_path / "mended", "true", files, units)
    again = faults.run_apply(faults.select(inventory, mended), tool, tmp_path / "runs/20261122T000001Z-bbbbbb")
    assert [finding.verdict for finding in again.after] == [Verdict.PASS]


@pytest.mark.parametrize("tool", ENGINES)
def test_a_change_after_which_no_password_is_taken_is_taken_back(
    lab: Lab, host: LabHost, tmp_path: Path, tool: str
) -> None:
    """Keys still open the door, so that a fresh login alone would not notice: people at the console would."""
    inventory = faults.inventory(lab, host, tmp_path / "site")
    shut = "sed -i '1i auth requisite pam_deny.so' /etc/pam.d/common-auth"
    broken = faults.control(tmp_path / "roles", shut, ["/etc/pam.d/*"], [])
    before = overlay.listing(host.upper)
    run = tmp_path / "runs/20261122T000000Z-aaaaaa"
    done = faults.run_apply(faults.select(inventory, broken), tool, run)
    assert done.result is not None
    failed = str(done.result.outcomes[host.name, "a_fault"].failed)
    assert "the change is taken back: the right password is refused by: " in failed
    assert {"login", "sshd", "su"} <= set(failed.partition("by: ")[2].partition(";")[0].split(", "))
    faults.settled(host, run.name)
    assert faults.unlike(host, before) == []
    assert [entry.state for entry in read_journal(run)] == ["saved", "reverted"]

    mended = faults.control(tmp_path / "mended", "true", ["/etc/pam.d/*"], [])
    again = faults.run_apply(faults.select(inventory, mended), tool, tmp_path / "runs/20261122T000001Z-bbbbbb")
    assert [finding.verdict for finding in again.after] == [Verdict.PASS]


Cut = Callable[[Lab, LabHost], None]


def _pull_the_cable(lab: Lab, host: LabHost) -> None:
    """For longer than the timer waits, and not so long that the kernel gives the connections up."""
    name = "ip -o link | sed -nE 's/^[0-9]+: ([^:@]+).*/\\1/p' | grep -vx lo | head -n 1"
    host.run_as_root(
        f"link=$({name}); ip link set $link down; (sleep 35; ip link set $link up) > /dev/null 2>&1 &"
    )


def _power_cut(lab: Lab, host: LabHost) -> None:
    host.backend.kill()
    lab.start(host.name)


def _kill_the_engine(lab: Lab, host: LabHost) -> None:
    """What the controller runs on this machine for the host ends at once; the controller itself is told by that."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("tool", ENGINES)
@pytest.mark.parametrize(
    ("fault", "cut"),
    [
        ("the link cut in the middle", _pull_the_cable),
        ("the power cut in the middle", _power_cut),
        ("an interrupt in the middle", _kill_the_engine),
    ],
    ids=["link", "power", "interrupt"],
)
@pytest.mark.parametrize("risk", ["access", "none"])
def test_a_cut_in_the_middle_leaves_the_host_as_it_was(
    lab: Lab, host: LabHost, tmp_path: Path, fault: str, cut: Cut, tool: str, risk: str
) -> None:
    inventory = faults.inventory(lab, host, tmp_path / "site", medsec_guard_seconds=30)
    slow = f"echo begun > {faults.MARK}.begun; sleep 8; echo '# changed' > /etc/ssh/sshd_config.d/00-x.conf"
    control = faults.control(tmp_path / "roles", slow, [*SSHD, faults.MARK + "*"], ["ssh.service"], risk)
    before = overlay.listing(host.upper)
    run = tmp_path / "runs/20261122T000000Z-aaaaaa"
    happened = threading.Event()

    def when_begun() -> None:
        while not (host.upper / f"{faults.MARK}.begun".lstrip("/")).exists():
            time.sleep(0.05)
        if cut is not _kill_the_engine:
            cut(lab, host)
        else:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        happened.set()

    done = None
    with faults.watched(lab, host) as watch:
        threading.Thread(target=when_begun, daemon=True).start()
        try:
            done = faults.run_apply(faults.select(inventory, control), tool, run)
        except KeyboardInterrupt:
            assert cut is _kill_the_engine
    assert happened.is_set()
    faults.settled(host, run.name)
    assert watch.tries[-1][1]
    assert watch.shut <= faults.LONGEST
    faults.note(f"{fault} ({'risky' if risk == 'access' else 'ordinary'} control)", tool, watch.shut)
    # Wholly there, where the connection outlived the cut, or wholly not.
    if done is not None and done.result is not None and done.result.outcomes[host.name, "a_fault"].finished:
        assert (host.upper / "etc/ssh/sshd_config.d/00-x.conf").read_text() == "# changed\n"
        assert read_journal(run)[-1].state in ("recorded", "confirmed")
        return
    assert faults.unlike(host, before) == []
    assert read_journal(run)

    mended = faults.control(tmp_path / "mended", "true", SSHD, ["ssh.service"], risk)
    again = faults.run_apply(faults.select(inventory, mended), tool, tmp_path / "runs/20261122T000001Z-bbbbbb")
    assert [finding.verdict for finding in again.after] == [Verdict.PASS]


@pytest.mark.parametrize("tool", ENGINES)
def test_no_room_for_the_copies_and_nothing_is_changed(lab: Lab, host: LabHost, tmp_path: Path, tool: str) -> None:
    host.run_as_root(
        "mkdir -p /var/lib/medsec && mount -t tmpfs -o size=1m tmpfs /var/lib/medsec"
    ).check_returncode()
    inventory = faults.inventory(lab, host, tmp_path / "site")
    control = faults.control(tmp_path / "roles", "true", SSHD, ["ssh.service"])
    before = overlay.listing(host.upper)
    done = faults.run_apply(faults.select(inventory, control), tool, tmp_path / "runs/20261122T000000Z-aaaaaa")
    assert done.result is not None
    failed = done.result.outcomes[host.name, "a_fault"].failed
    assert failed is not None
    assert "make room and try again" in failed
    assert faults.unlike(host, before) == []
    faults.settled(host, "20261122T000000Z-aaaaaa")
    host.run_as_root("umount --lazy /var/lib/medsec").check_returncode()
    again = faults.run_apply(faults.select(inventory, control), tool, tmp_path / "runs/20261122T000001Z-bbbbbb")
    assert [finding.verdict for finding in again.after] == [Verdict.PASS]


FILLED = "/etc/ssh/sshd_config.d"
KEPT = "/var/lib/medsec"


@pytest.mark.parametrize("tool", ENGINES)
@pytest.mark.parametrize("risk", ["access", "none"])
@pytest.mark.parametrize("full", [FILLED, KEPT], ids=["what-is-changed", "what-is-kept"])
def test_a_disk_that_fills_while_the_remedy_works(
    lab: Lab, host: LabHost, tmp_path: Path, full: str, risk: str, tool: str
) -> None:
    """The remedy itself takes the last byte, of the disk that it changes or of the one that holds the way back."""
    host.run_as_root(
        f"mkdir -p {full} && mount -t tmpfs -o size=3m,mode=0700 tmpfs {full} && "
        f"mkdir -p {FILLED} && head -c 40000 /dev/zero | tr '\\0' '#' > {FILLED}/10-site.conf"
    ).check_returncode()
    sums = f"find {FILLED} -type f -exec sha256sum {{}} +; find {FILLED} /etc/ssh -printf '%p %m %U:%G\\n'"
    before = host.run_as_root(sums).stdout
    assert "10-site.conf" in before
    inventory = faults.inventory(lab, host, tmp_path / "site", medsec_guard_seconds=30)
    harm = (
        f"echo '# changed' > {FILLED}/10-site.conf; touch {FILLED}/20-new.conf; "
        f"! head -c 4000000 /dev/zero > {full}/99-filled.conf; true"
    )
    files = [f"{FILLED}/*", *([f"{KEPT}/99-filled.conf"] if full == KEPT else [])]
    control = faults.control(tmp_path / "roles", harm, files, ["ssh.service"], risk)
    run = tmp_path / "runs/20261122T000000Z-aaaaaa"
    with faults.watched(lab, host) as watch:
        done = faults.run_apply(faults.select(inventory, control), tool, run)
    faults.settled(host, run.name)
    faults.note(f"the disk of {'the way back' if full == KEPT else 'the changed files'} fills", tool, watch.shut)
    assert watch.shut <= faults.LONGEST
    assert done.result is not None
    if done.result.outcomes[host.name, "a_fault"].finished:  # there was room for what had to be noted
        assert read_journal(run)[-1].state in ("recorded", "confirmed")
        with Session(inventory.hosts[host.name], run.name, keep=5) as session:
            session.rollback("01", ["a_fault"])
    assert host.run_as_root(sums).stdout == before


@pytest.mark.parametrize("tool", ENGINES)
def test_no_room_for_the_record_and_nothing_is_changed(lab: Lab, host: LabHost, tmp_path: Path, tool: str) -> None:
    inventory = faults.inventory(lab, host, tmp_path / "site")
    control = faults.control(tmp_path / "roles", "true", SSHD, ["ssh.service"])
    before = overlay.listing(host.upper)
    run = tmp_path / "runs/20261122T000000Z-aaaaaa"
    run.mkdir(parents=True)
    (run / "changes.jsonl").symlink_to("/dev/full")  # every write fails as on a full disk
    done = faults.run_apply(faults.select(inventory, control), tool, run)
    assert done.result is not None
    failed = done.result.outcomes[host.name, "a_fault"].failed
    assert failed is not None
    assert "No space left on device" in failed
    faults.settled(host, run.name)
    assert faults.unlike(host, before) == []


def test_of_two_operators_the_second_is_refused(lab: Lab, host: LabHost, tmp_path: Path) -> None:
    inventory = faults.inventory(lab, host, tmp_path / "site")
    control = faults.control(tmp_path / "roles", "true", SSHD, ["ssh.service"])
    with Session(inventory.hosts[host.name], "20261122T000009Z-cccccc", keep=5) as first:
        assert first.steps() == []
        done = faults.run_apply(
            faults.select(inventory, control), "ansible", tmp_path / "runs/20261122T000000Z-aaaaaa"
        )
        assert done.result is not None
        failed = done.result.outcomes[host.name, "a_fault"].failed
        assert failed is not None
        assert "20261122T000009Z-cccccc" in failed
        assert host.run_as_root(f"test -e {faults.MARK}").returncode == 1
    again = faults.run_apply(
        faults.select(inventory, control), "ansible", tmp_path / "runs/20261122T000001Z-bbbbbb"
    )
    assert [finding.verdict for finding in again.after] == [Verdict.PASS]


def test_events_tell_of_what_was_taken_back(lab: Lab, host: LabHost, tmp_path: Path) -> None:
    harm, files, units = HARM["a wrong AllowUsers"]
    inventory = faults.inventory(lab, host, tmp_path / "site", medsec_guard_seconds=30)
    events: list[Any] = []
    faults.run_apply(
        faults.select(inventory, faults.control(tmp_path / "roles", harm, files, units)),
        "pyinfra",
        tmp_path / "runs/20261122T000000Z-aaaaaa",
        on_event=events.append,
    )
    told = [event for event in events if isinstance(event, Event) and event.task == "guard"]
    assert [(event.host, event.control) for event in told] == [(host.name, "a_fault")]
    assert "taken back" in str(told[0].message)
