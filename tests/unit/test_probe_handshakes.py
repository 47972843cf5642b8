"""What a server's answers to handshakes are taken for, and what is no answer at all."""

from __future__ import annotations

import pytest

from medsec.errors import ProbeError
from medsec.probes.handshakes import parse

# As `offers` and `guards` print it for a good server, in November 2026.
GOOD = {
    "good": ("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
    "notBefore": ("Nov  1 05:48:52 2026 GMT",),
    "notAfter": ("Feb  4 05:48:52 2029 GMT",),
    "old": ("(NONE)",),
    "weak": ("(NONE)",),
    "now": ("1795392000",),
    "key": ("640", "/etc/ssl/medsec/postgres.key"),
}


def said(**other: tuple[str, ...] | None) -> list[str]:
    """Return what is found wrong with a server that answers otherwise in these points; None takes an answer away."""
    answers = {name: fields for name, fields in {**GOOD, **other}.items() if fields is not None}
    offer = parse([(name, *fields) for name, fields in answers.items()], "server")
    return [text.en for text in offer.shortcomings(30)]


def test_a_good_offer_has_no_shortcoming() -> None:
    assert said() == []
    assert said(key=None) == []


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"good": ("(NONE)", "(NONE)")}, "it offers no TLS"),
        ({"notBefore": None, "notAfter": None}, "it offers no TLS"),
        ({"good": ("TLSv1.1", "AES128-SHA")}, "it agrees on TLSv1.1 at best"),
        ({"old": ("AES128-SHA",)}, "a protocol before TLS 1.2"),
        ({"weak": ("NULL-SHA256",)}, "the weak cipher NULL-SHA256"),
        ({"notAfter": ("Dec 12 05:48:52 2026 GMT",)}, "holds from 2026-11-01 to 2026-12-12"),
        ({"notBefore": ("Jan  1 00:00:00 2027 GMT",)}, "holds from 2027-01-01"),
        ({"key": ("644", "/etc/his.key")}, "everybody on the host may use the key /etc/his.key (mode 644)"),
        ({"key": ("gone", "/etc/his.key")}, "/etc/his.key is not there any more"),
    ],
)
def test_each_shortcoming_is_named(other: dict[str, tuple[str, ...] | None], words: str) -> None:
    [found] = said(**other)
    assert words in found


@pytest.mark.parametrize(
    "rows", [[], [("missing", "openssl")], [(name, *GOOD[name]) for name in ("good", "old", "weak")]]
)
def test_no_answer_is_an_error(rows: list[tuple[str, ...]]) -> None:
    with pytest.raises(ProbeError, match="no TLS handshake could be tried"):
        parse(rows, "server")
