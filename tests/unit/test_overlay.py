"""The overlay comparison sees every kind of change and forgives only what is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from medsec.catalogue.controls import Touches
from medsec.catalogue.patterns import matcher
from medsec.trials.overlay import changed, listing, untold


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    (tmp_path / "etc/ssh").mkdir(parents=True)
    (tmp_path / "etc/ssh/sshd_config").write_text("Port 22\n", encoding="utf-8")
    (tmp_path / "var/log").mkdir(parents=True)
    return tmp_path


def test_content_mode_and_new_files_are_seen(upper: Path) -> None:
    before = listing(upper)
    (upper / "etc/ssh/sshd_config").write_text("Port 23\n", encoding="utf-8")
    (upper / "etc/cron.d").mkdir()
    (upper / "etc/cron.d/medsec").write_text("", encoding="utf-8")
    assert changed(before, listing(upper)) == ["/etc/cron.d/medsec", "/etc/ssh/sshd_config"]


def test_a_mode_alone_is_a_change(upper: Path) -> None:
    before = listing(upper)
    (upper / "etc/ssh/sshd_config").chmod(0o600)
    assert changed(before, listing(upper)) == ["/etc/ssh/sshd_config"]


def test_a_removed_file_and_a_turned_link_are_changes(upper: Path) -> None:
    link = upper / "etc/localtime"
    link.symlink_to("UTC")
    before = listing(upper)
    (upper / "etc/ssh/sshd_config").unlink()
    link.unlink()
    link.symlink_to("PRC")
    assert changed(before, listing(upper)) == ["/etc/localtime", "/etc/ssh/sshd_config"]


def test_what_a_running_host_writes_by_itself_is_no_change(upper: Path) -> None:
    before = listing(upper)
    (upper / "var/log/syslog").write_text("x", encoding="utf-8")
    assert changed(before, listing(upper)) == []


def test_only_what_is_named_is_forgiven() -> None:
    touches = Touches(files=["/etc/ssh/sshd_config.d/*"], units=["nftables.service"])
    paths = [
        "/etc/ssh/sshd_config.d/a.conf",
        "/etc/systemd/system/sysinit.target.wants/nftables.service",
        "/etc/ssh/sshd_config",
        "/usr/bin/pg",
    ]
    assert untold(paths, touches, frozenset(["/usr/bin/pg"])) == ["/etc/ssh/sshd_config"]


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/etc/*", "/etc/passwd", True),
        ("/etc/*", "/etc/ssh/sshd_config", False),
        ("/etc/**", "/etc/ssh/sshd_config", True),
        ("/etc/**", "/etc", True),
        ("/etc/**", "/etcetera", False),
        ("/home/**/.rhosts", "/home/a/.rhosts", True),
        ("/home/**/.rhosts", "/home/.rhosts", True),
        ("/etc/a.b", "/etc/aXb", False),
    ],
)
def test_patterns(pattern: str, path: str, matches: bool) -> None:
    assert bool(matcher(pattern).fullmatch(path)) is matches
