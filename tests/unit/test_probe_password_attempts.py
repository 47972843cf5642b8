"""The passwords that are tried, and how the outcome is read."""

from __future__ import annotations

import re

import pytest

from medsec.errors import ProbeError
from medsec.probes import password_attempts as attempts

CLASSES = ("[A-Z]", "[a-z]", "[0-9]", "[^A-Za-z0-9]")


def classes(password: str) -> int:
    return sum(bool(re.search(pattern, password)) for pattern in CLASSES)


@pytest.mark.parametrize("minlen", [8, 12, 20])
def test_each_weak_password_lacks_one_thing_only(minlen: int) -> None:
    found = attempts.candidates(minlen=minlen, minclass=4, user="mxqzkvbtr")
    short, *missing, named, word, good = found
    assert (len(short.password), classes(short.password)) == (minlen - 1, 4)
    assert [(len(one.password) >= minlen, classes(one.password)) for one in missing] == [(True, 3)] * 4
    assert "mxqzkvbtr" in named.password
    assert classes(named.password) == classes(word.password) == classes(good.password) == 4
    assert min(len(one.password) for one in (named, word, good)) >= minlen
    assert good.lacks is None


def test_three_classes_of_four_are_tried_by_leaving_out_two() -> None:
    found = attempts.candidates(minlen=8, minclass=3, user="mxqzkvbtr")
    assert [classes(one.password) for one in found[1:-3]] == [2] * 6


def test_nothing_repeats_and_no_run_of_a_class_forms() -> None:
    for _ in range(50):
        good = attempts.candidates(minlen=14, minclass=4, user="m")[-1].password
        assert not re.search(r"(.)\1", good)
        assert not re.search(r"[A-Z]{2}|[a-z]{2}|[0-9]{2}|[^A-Za-z0-9]{2}", good)
        assert not re.search(r"[\s'\"\\|$`:]", good)  # they travel in a here-document and through `read`


def test_outcomes_are_read_in_the_order_of_the_candidates() -> None:
    tried = {("passwd", "root"): attempts.candidates(minlen=8, minclass=4, user="m")}
    output = "passwd|root|7|accepted|updated\npasswd|root|0|refused|BAD PASSWORD: too short | x\n"
    first, last = attempts.parse(output, tried)
    assert (first.accepted, first.candidate.lacks, first.message) == (
        False,
        "only 7 characters",
        "BAD PASSWORD: too short | x",
    )
    assert (last.accepted, last.candidate.lacks) == (True, None)


def test_a_strange_line_is_an_error() -> None:
    with pytest.raises(ProbeError, match="reported as"):
        attempts.parse("passwd: command not found\n", {})
