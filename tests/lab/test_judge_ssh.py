"""The judge over SSH on real hosts: what each kind of trouble comes to, and that no trouble spreads."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from medsec.catalogue.controls import Control
from medsec.evidence.findings import Finding, Verdict
from medsec.inventory import Host, Inventory, Ledger
from medsec.inventory.hosts import Login
from medsec.judge import Limits, RunResult, judge
from medsec.lab import Lab

pytestmark = pytest.mark.xdist_group("judge")

WORDS = {"zh": "文", "en": "text"}
# Users of the host `well` who may log in with the lab's key, and what sudo grants them.
USERS = {"without": "", "asked": "asked ALL=(ALL) ALL"}


@pytest.fixture(scope="module")
def lab(lab: Lab) -> Iterator[Lab]:
    """`well`, with users whom sudo refuses or asks for a password, and `bare`, which has no Python."""
    for name in ("well", "bare"):
        lab.add_host(name, kind="server")
    lab.host("bare").run_as_root("mkdir /root/away; mv /usr/bin/python3* /root/away/").check_returncode()
    for user, rule in USERS.items():
        lab.host("well").run_as_root(
            f"useradd -m {user}; cp -r /home/admin/.ssh /home/{user}/; chown -R {user} /home/{user}/.ssh; "
            f"echo '{rule}' > /etc/sudoers.d/{user}"
        ).check_returncode()
    yield lab
    for name in ("well", "bare"):
        lab.remove_host(name)


@pytest.fixture
def login(lab: Lab) -> Login:
    return Login(
        address=lab.host("well").address,
        user="admin",
        key=Path(lab.identity_path),
        known_hosts=Path(lab.known_hosts_path),
    )


MakeControl = Callable[..., Control]


@pytest.fixture
def control(tmp_path: Path) -> MakeControl:
    def make(name: str, body: str) -> Control:
        home = tmp_path / "roles/some/controls" / name
        home.mkdir(parents=True)
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        home.joinpath("check.py").write_text(
            f"from medsec.text import says\n\ndef check(host, params):\n{lines}", encoding="utf-8"
        )
        return Control.model_validate(
            {
                "id": name,
                "item": "NW-01",
                "title": WORDS,
                "why": WORDS,
                "impact": WORDS,
                "severity": "high",
                "applies_to": {"kinds": ["server"], "families": ["debian"]},
                "risk": "none",
                "proof": "container",
                "family": "some",
                "home": home,
            }
        )

    return make


def run(logins: dict[str, Login], controls: list[Control], **options: object) -> RunResult:
    entry = {
        "kind": "server",
        "os_family": "debian",
        "department": WORDS,
        "owner": "张工",
        "location": WORDS,
        "purpose": WORDS,
    }
    ledger = Ledger.model_validate(
        {
            "institution": WORDS,
            "address_sets": {"clinic": ["10.66.0.0/16"]},
            "time_sources": ["10.66.1.254"],
            "hosts": {name: {**entry, "address": login.address} for name, login in logins.items()},
        }
    )
    hosts = {name: Host(name, login, (), {}, ledger.hosts[name]) for name, login in logins.items()}
    inventory = Inventory(Path("/nowhere"), hosts, ledger)
    return judge(inventory, list(hosts.values()), controls, **options)  # type: ignore[arg-type]


def by_host(result: RunResult) -> dict[str, Finding]:
    return {finding.host: finding for finding in result.findings}


def make_key(path: Path, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)], check=True)
    return path


def test_a_host_that_lets_nobody_in_is_told_in_one_line_and_holds_nobody_up(
    lab: Lab, login: Login, control: MakeControl, tmp_path: Path
) -> None:
    key, locked = make_key(tmp_path / "other"), make_key(tmp_path / "locked", "secret")
    shown = key.with_suffix(".pub").read_text().split()[:2]
    changed, empty = tmp_path / "changed", tmp_path / "empty"
    changed.write_text(f"{login.address} {' '.join(shown)}\n")
    empty.write_text("")
    nowhere = login.address.rsplit(".", 1)[0] + ".250"
    logins = {
        "refused": replace(login, key=key),
        "locked": replace(login, key=locked),
        "no-key": replace(login, key=tmp_path / "missing"),
        "changed": replace(login, known_hosts=changed),
        "unknown": replace(login, known_hosts=empty),
        "no-list": replace(login, known_hosts=tmp_path / "no_list"),
        "off": replace(login, address=nowhere),
        "closed": replace(login, port=81),
        "without": replace(login, user="without"),
        "asked": replace(login, user="asked"),
        "well": login,
        "bare": replace(login, address=lab.host("bare").address),
        "behind": replace(login, address=lab.host("bare").address, jump=f"admin@{login.address}"),
    }
    asks = "assert host.check_output('id -u') == '0'\nassert host.service('ssh').is_running\nassert host.file('/etc/passwd').mode == 0o644\nassert host.package('openssh-server').is_installed"
    seen = by_host(run(logins, [control("state_holds", asks)], limits=Limits(connect=5)))
    told = {
        "refused": (Verdict.UNREACHABLE, "the key was refused"),
        "locked": (Verdict.UNREACHABLE, "has a passphrase"),
        "no-key": (Verdict.UNREACHABLE, "does not exist"),
        "changed": (Verdict.UNREACHABLE, "its host key has changed"),
        "unknown": (Verdict.UNREACHABLE, "is not in"),
        "no-list": (Verdict.UNREACHABLE, "cannot be checked"),
        "off": (Verdict.UNREACHABLE, "cannot be reached"),
        "closed": (Verdict.UNREACHABLE, "connection refused"),
        "without": (Verdict.ERROR, "no privilege: 'without'"),
        "asked": (Verdict.ERROR, "no privilege: 'asked'"),
        "well": (Verdict.PASS, ""),
        "bare": (Verdict.PASS, ""),
        "behind": (Verdict.PASS, ""),
    }
    for name, (verdict, words) in told.items():
        assert (seen[name].verdict, words in seen[name].text.en) == (verdict, True), seen[name]
        assert "\n" not in seen[name].text.zh
        assert verdict is Verdict.PASS or f"主机 {name}" in seen[name].text.zh
        # What another try may mend is tried again: no key, name or right.
        assert ("(tried 2 times)" in seen[name].text.en) is (name in ("off", "closed")), seen[name]


def test_trouble_in_one_check_stays_with_that_check(login: Login, control: MakeControl) -> None:
    controls = [
        control("a_slow", "host.run('sleep 300')"),
        control("b_flood", "host.run('yes')"),
        control("c_large", "assert len(host.run('yes | head -c 3000000').stdout) == 3000000"),
        control("d_daemon", "assert host.run('sleep 20 & echo started').stdout == 'started\\n'"),
        control("e_killed", "assert host.run('kill -9 $$').rc not in (0, None)"),
        control(
            "f_bytes",
            "said = host.run(\"printf '\\\\326\\\\320'\").stdout\nassert said == '', says(en=said, zh=said)",
        ),
        control("g_well", "assert host.check_output('id -un') == 'root'"),
    ]
    result = run({"well": login}, controls, limits=Limits(command=4))
    seen = {finding.control: finding for finding in result.findings}
    assert {name: finding.verdict.value for name, finding in seen.items()} == {
        "a_slow": "error",
        "b_flood": "error",
        "c_large": "pass",
        "d_daemon": "pass",
        "e_killed": "pass",
        "f_bytes": "fail",
        "g_well": "pass",
    }
    assert "no answer within 4 s" in seen["a_slow"].text.en
    assert seen["f_bytes"].text.en == r"\xd6\xd0"
    assert result.identities["well"] is not None


def test_what_hangs_is_stopped_on_the_host_too(lab: Lab, login: Login, control: MakeControl) -> None:
    run({"well": login}, [control("a_slow", "host.run('exec sleep 7777')")], limits=Limits(command=1))
    deadline = time.monotonic() + 20
    while lab.host("well").ssh("pgrep -f '^sleep 7777'").returncode == 0:
        assert time.monotonic() < deadline, "the command outlived its run"
        time.sleep(1)


def test_a_connection_lost_midway_leaves_the_rest_unreachable_and_the_others_alone(
    lab: Lab, login: Login, control: MakeControl
) -> None:
    kills = "if host.check_output('uname -n; sleep 2').startswith('well'):\n    host.run('sleep 1; pkill -9 -u admin sshd')"
    controls = [
        control("a_before", "host.run('true')"),
        control("b_kills", kills),
        control("c_after", "host.run('true'); host.run('sleep 3'); host.run('true')"),
    ]
    result = run(
        {"well": login, "bare": replace(login, address=lab.host("bare").address)},
        controls,
        limits=Limits(command=10, connect=5),
    )
    verdicts = [(f.host, f.control, f.verdict.value) for f in result.findings]
    assert verdicts == [
        ("well", "a_before", "pass"),
        ("well", "b_kills", "unreachable"),
        ("well", "c_after", "unreachable"),
        ("bare", "a_before", "pass"),
        ("bare", "b_kills", "pass"),
        ("bare", "c_after", "pass"),
    ]
    assert "connection was lost" in result.findings[1].text.en
    assert result.exit_code == 3


def test_a_host_that_freezes_midway_is_given_up_in_time(lab: Lab, login: Login, control: MakeControl) -> None:
    """No answer and no reset, as when the line goes: the command's time and one more look, not one per check."""
    bare = replace(login, address=lab.host("bare").address)
    freezes = "host.run('(sleep 1; nft add table inet t; nft add chain inet t i \"{ type filter hook input priority 0; policy drop; }\") >/dev/null 2>&1 & sleep 30')"
    controls = [control("a_freezes", freezes), *(control(f"later_{n}", "host.run('sleep 2')") for n in range(8))]
    started = time.monotonic()
    try:
        result = run({"bare": bare}, controls, limits=Limits(command=4, connect=4))
    finally:
        lab.host("bare").run_as_root("nft flush ruleset")
    seen = {finding.control: finding.verdict for finding in result.findings}
    # What ran beside it may have been answered before the line went; nothing else can have been.
    assert {seen["a_freezes"], *(seen[f"later_{n}"] for n in range(3, 8))} == {Verdict.UNREACHABLE}
    assert set(seen.values()) <= {Verdict.PASS, Verdict.UNREACHABLE}
    assert time.monotonic() - started < 20
