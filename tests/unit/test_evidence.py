"""A run's folder: written as findings come, read back as it was, refused when it was changed."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from medsec.catalogue.source import Bilingual
from medsec.evidence.digest import catalogue_digest
from medsec.evidence.findings import CommandRecord, Finding, Verdict, WaiverNote
from medsec.evidence.plain import plain
from medsec.evidence.reading import RunDamaged, list_runs, load_run
from medsec.evidence.redaction import redacted
from medsec.evidence.run import ControlFacts, HostFacts, IdentityFacts, ItemFacts, RunHeader
from medsec.evidence.store import RunStore, new_run_id
from medsec.text import says

WORDS = Bilingual(zh="文", en="text")
NOW = datetime(2025, 11, 22, 2, 15, tzinfo=UTC)


def host(name: str) -> HostFacts:
    return HostFacts(
        name=name,
        address="10.66.1.20",
        kind="db",
        os_family="debian",
        department=WORDS,
        owner="张工",
        location=WORDS,
        purpose=WORDS,
    )


def control(name: str) -> ControlFacts:
    return ControlFacts(
        id=name,
        item="NW-01",
        family="some",
        title=WORDS,
        why=WORDS,
        impact=WORDS,
        severity="high",
        enforce=True,
        who_acts=None,
    )


def header(*hosts: str, controls: tuple[str, ...] = ("state_holds",)) -> RunHeader:
    item = ItemFacts(
        id="NW-01",
        title=WORDS,
        severity="high",
        item_class="M",
        family=WORDS,
        clauses=["GB/T 1"],
        level_applies=True,
    )
    return RunHeader(
        schema="medsec.run/1",
        id=new_run_id(NOW),
        medsec="0",
        catalogue="c",
        operator="o",
        controller="m",
        argv=["verify"],
        started=NOW,
        finished=None,
        institution=WORDS,
        mlps_level=2,
        hosts=[host(name) for name in hosts],
        controls=[control(name) for name in controls],
        items=[item],
    )


def record(stdout: str = "out\n") -> CommandRecord:
    return CommandRecord("sshd -T", 0, stdout, "", NOW, 0.1, "00")


def finding(host: str = "one", verdict: Verdict = Verdict.PASS, **more: object) -> Finding:
    return Finding(host, "state_holds", "NW-01", verdict, says(en="e", zh="中"), NOW, 0.2, [record()], **more)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    made = RunStore(tmp_path, header("one", "two", "../three"))
    yield made
    made.close()


def test_what_was_written_is_read_back(store: RunStore, tmp_path: Path) -> None:
    waiver = WaiverNote("r", "o", "a", ("c", "d"), "2026-01-01", "active")
    written = [
        finding("one"),
        finding("two", Verdict.WAIVED, waiver=waiver),
        finding("../three", Verdict.UNREACHABLE),
    ]
    identity = IdentityFacts(
        hostname="one",
        machine="m",
        host_key="SHA256:x",
        os_id="debian",
        os_version="12",
        os_family="debian",
        kernel="6",
        clock=1,
    )
    for entry in reversed(written):
        store.add(entry, {"port": 22})
        store.host_done(entry.host, identity if entry.host == "one" else None)
    store.finish()
    run = load_run(store.path)
    assert run.finished
    assert [(f.host, f.verdict, f.text.zh, f.waiver) for f in run.findings] == [
        (f.host, f.verdict, f.text.zh, f.waiver) for f in written
    ]
    assert run.evidence(run.stored[0]) == [record()]
    assert run.identities == {"one": identity, "two": None, "../three": None}
    assert run.conclusion.exit_code == 3
    assert list_runs(tmp_path) == [store.path]


def test_only_the_owner_reads_a_run(store: RunStore) -> None:
    store.add(finding())
    store.finish()
    for path in (store.path, *store.path.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    inside = {path.resolve().relative_to(store.path.resolve()).parts[0] for path in store.path.rglob("*")}
    assert inside == {"run.json", "findings.jsonl", "hosts.jsonl", "evidence"}


def test_a_run_cut_short_keeps_what_was_seen(store: RunStore) -> None:
    store.add(finding())
    store.host_done("one", None)
    with (store.path / "findings.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"host": "two", "cont')
    run = load_run(store.path)
    assert not run.finished
    assert [f.host for f in run.findings] == ["one"]
    assert run.conclusion.exit_code == 3


def test_changed_evidence_is_no_proof(store: RunStore) -> None:
    store.add(finding())
    store.finish()
    path = store.path / "evidence/one/state_holds.json"
    path.write_text(path.read_text(encoding="utf-8").replace("sshd -T", "sshd -X"), encoding="utf-8")
    run = load_run(store.path)
    with pytest.raises(RunDamaged, match="changed after the run"):
        run.evidence(run.stored[0])


@pytest.mark.parametrize("line", ['{"host"', json.dumps({"host": "one"})])
def test_a_line_that_no_run_wrote_is_refused(store: RunStore, line: str) -> None:
    store.add(finding())
    store.finish()
    with (store.path / "findings.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")
    with pytest.raises(RunDamaged, match=r"findings\.jsonl"):
        load_run(store.path)


def test_a_finding_written_twice_or_not_planned_is_refused(store: RunStore) -> None:
    store.add(finding())
    store.add(finding("nobody"))
    store.finish()
    with pytest.raises(RunDamaged, match="nobody"):
        load_run(store.path)


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunDamaged, match=r"run\.json: is missing"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("root:$y$j9T$abcdefgh$0123456789abcdef:1::", "root:$y$[redacted]:1::"),
        ("root:$6$salt$abcdefABCDEF0123456789:1::", "root:$6$[redacted]:1::"),
        ("root:!*:19000::", "root:!*:19000::"),
        ("SCRAM-SHA-256$4096:c2FsdA==$a2V5:c2Vydg==", "SCRAM-SHA-256$4096:[redacted]"),
        ("md5" + "0af" * 10 + "01", "md5[redacted]"),
        ("*" + "0AF" * 13 + "1", "*[redacted]"),
        ("password=hunter22", "password=[redacted]"),
        ("PasswordAuthentication yes", "PasswordAuthentication yes"),
        ("passwd:         files systemd", "passwd:         files systemd"),
        ("New password:\nBAD PASSWORD", "New password:\nBAD PASSWORD"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----",
            "-----BEGIN OPENSSH PRIVATE KEY-----[redacted]-----END OPENSSH PRIVATE KEY-----",
        ),
    ],
)
def test_secrets_are_left_out_and_what_proves_stays(text: str, wanted: str) -> None:
    assert redacted(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x07", "link"),
        ("a\x00b\x08c", r"a\x00b\x08c"),
        ("a\tb\nc", "a\tb\nc"),
        ("收费\u202e处", r"收费\x202e处"),
        ("\x1b", ""),
    ],
)
def test_what_a_host_prints_steers_nothing(text: str, wanted: str) -> None:
    assert plain(text) == wanted


def test_the_digest_sees_every_file_and_name(tmp_path: Path) -> None:
    check = tmp_path / "roles/a/controls/b/check.py"
    check.parent.mkdir(parents=True)
    check.write_text("1")
    first = catalogue_digest(tmp_path)
    check.write_text("2")
    second = catalogue_digest(tmp_path)
    check.rename(check.with_name("other.py"))
    assert len({first, second, catalogue_digest(tmp_path)}) == 3
