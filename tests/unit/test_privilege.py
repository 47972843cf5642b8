"""How root is reached: what stands on the command line for the host, and what does not."""

from __future__ import annotations

import shlex

import pytest
from pyinfra.api import StringCommand
from pyinfra.api.exceptions import PyinfraError

from medsec.engines.pyinfra_commands import _line
from medsec.inventory.hosts import Login
from medsec.inventory.passwords import Password
from medsec.judge.privilege import Privilege, as_root, no_privilege, shell_as_root

SECRET = "s3cret of the clinic"


def login(**more: object) -> Login:
    return Login("10.66.1.1", user="admin", **more)  # type: ignore[arg-type]


def password() -> Password:
    return Password("his-db", "ansible_become_password", lambda: SECRET)


def test_the_password_goes_first_into_stdin_and_is_on_no_line() -> None:
    for line in (
        as_root("id", Privilege.of(login(password=password())), seconds=5, mark="m"),
        shell_as_root("id", privilege=Privilege.of(login(password=password()))),
    ):
        assert SECRET not in line.text
        assert line.first == f"{SECRET}\n".encode()
        words = shlex.split(line.text)
        assert words[:2] == ["sh", "-c"]
        assert "sudo -S -p ''" in words[2]
    text, first = _line("his-db", StringCommand("id", "-u"), {"_sudo": True, "_sudo_password": SECRET})
    assert SECRET not in text
    assert first == f"{SECRET}\n".encode()


def test_without_a_password_sudo_is_told_not_to_wait_for_one() -> None:
    line = shell_as_root("id", privilege=Privilege.of(login()))
    assert (line.text, line.first) == ("sudo -n -- sh -c id sh", b"")
    for other in (Login("10.66.1.1", user="root", password=password()), login(sudo=False, password=password())):
        line = shell_as_root("id", privilege=Privilege.of(other))
        assert (line.text, line.first) == ("sh -c id sh", b"")


def test_what_a_password_cannot_be_combined_with_is_refused() -> None:
    with pytest.raises(PyinfraError, match="_sudo_user"):
        _line("his-db", StringCommand("id"), {"_sudo": True, "_sudo_password": SECRET, "_sudo_user": "postgres"})


def test_a_refusal_is_one_line_that_says_what_to_do_and_shows_no_escape() -> None:
    for who, words in ((login(), "medsec_become_password_from"), (login(password=password()), "faillock")):
        error = no_privilege("his-db", who, "\x1b[2Jlecture\nsudo: 1 incorrect password attempt\n\n")
        for language in ("en", "zh"):
            told = error.in_language(language)  # type: ignore[arg-type]
            assert "his-db" in told
            assert "1 incorrect password attempt" in told
            assert words in told
            assert not set(told) & {"\n", "\x1b"}
            assert SECRET not in told


def test_a_refused_password_is_not_given_again() -> None:
    given = password()
    assert given.reveal() == SECRET
    given.refuse(no_privilege("his-db", login(password=given), "no").text)
    with pytest.raises(Exception, match="sudo does not make 'admin' root"):
        given.reveal()
