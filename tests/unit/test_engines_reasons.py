"""Tools' own words become one sentence that says what to do, in both languages."""

from __future__ import annotations

import pytest

from medsec.engines.reasons import why
from medsec.engines.registry import engine
from medsec.errors import UsageError

# As ssh, sudo, Ansible and paramiko said them.
SAID = [
    ("ConnectError: SSH host key error (Host key for 10.76.1.100 does not match.)", "another SSH host key", "不一致"),
    ("Failed to connect to the host via ssh: @@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@@ "
     "Host key verification failed.", "another SSH host key", "不一致"),
    ("SSH error (StrictPolicy: No host key for 10.76.1.100 found in known_hosts)", "is not known here", "没有该主机"),
    ("No ED25519 host key is known for 10.76.1.100 and you have requested strict checking.\r\n"
     "Host key verification failed.", "is not known here", "没有该主机"),
    ("Authentication error (username=admin) (Authentication failed.)", "refused the login", "拒绝登录"),
    ("admin@10.76.1.100: Permission denied (publickey).", "refused the login", "拒绝登录"),
    ("wanted root (id 0), got: sudo: a password is required", "become root by sudo", "sudo"),
    ("Task failed: Premature end of stream waiting for become success.\n>>> Standard Error\nsudo: a password is required",
     "become root by sudo", "sudo"),
    ("admin is not in the sudoers file.  This incident will be reported.", "become root by sudo", "sudo"),
    ("something nobody has met", "cannot be worked on", "无法"),
    ("wanted root (id 0), got: sh: 1: sudo: not found", "there is no sudo", "没有 sudo"),
    ("non-zero return code; python: not found", "use --engine pyinfra", "--engine pyinfra"),
    ("/bin/sh: 1: /usr/bin/python3: not found", "use --engine pyinfra", "--engine pyinfra"),
    ("The module interpreter '/nowhere/python3' was not found.", "use --engine pyinfra", "--engine pyinfra"),
    ("ssh: connect to host 10.76.1.9 port 22: No route to host", "does not answer", "没有应答"),
    ("Could not connect ([Errno None] Unable to connect to port 9 on 10.76.1.100)", "does not answer", "没有应答"),
    ("ssh: Could not resolve hostname his-dbb: Name or service not known", "does not resolve", "无法解析"),
    ("Shared connection to 10.76.1.100 closed.", "broke in the middle", "中断"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "en", "zh"), SAID)
def test_words_are_explained_and_kept(raw: str, en: str, zh: str) -> None:
    text = why(raw)
    assert en in text.en
    assert zh in text.zh
    for language in (text.en, text.zh):
        assert " ".join(raw.split())[-40:] in language


def test_a_flood_of_words_is_shortened() -> None:
    assert len(why("x" * 100_000).en) < 1000


def test_an_unknown_engine_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="accepted: ansible, pyinfra"):
        engine("puppet")
