"""Keeping secrets out of evidence: what proves a state never needs the secret itself."""

from __future__ import annotations

import re

_MARK = "[redacted]"
# What a secret looks like, with a word without which it is not there: looking for that word first is many times faster.
_SECRETS = (
    # crypt(3) hashes, as in /etc/shadow: the method and its cost may be evidence, salt and hash are not.
    ("$", re.compile(r"(\$(?:y|gy|7|2[abxy]?|[156]|sha1|md5)\$)[./A-Za-z0-9$=,]{8,}"), rf"\1{_MARK}"),
    # PostgreSQL and MariaDB password verifiers.
    ("scram-sha-256$", re.compile(r"(SCRAM-SHA-256\$\d+:)[^\s'\"|]+"), rf"\1{_MARK}"),
    ("md5", re.compile(r"\bmd5[0-9a-f]{32}\b"), f"md5{_MARK}"),
    ("*", re.compile(r"\*[0-9A-F]{40}\b"), f"*{_MARK}"),
    (
        "private key-----",
        re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END [A-Z ]*PRIVATE KEY-----)", re.DOTALL),
        rf"\1{_MARK}\2",
    ),
    # Written-out passwords; `passwd:` is left alone, since nsswitch.conf says it.
    *(
        (
            word,
            re.compile(rf"({word}{ends}[ \t]*)(\"[^\"\n]+\"|'[^'\n]+'|[^\s\"',;]{{4,}})", re.IGNORECASE),
            rf"\1{_MARK}",
        )
        for word, ends in (
            ("password", r"[\"']?[ \t]*[:=]"),
            ("passphrase", r"[\"']?[ \t]*[:=]"),
            ("secret", r"[\"']?[ \t]*[:=]"),
            ("passwd", r"[\"']?[ \t]*="),
        )
    ),
)


def redacted(text: str) -> str:
    """Return `text` with password hashes, private keys and written-out passwords replaced by `[redacted]`."""
    folded = text.casefold()
    for word, pattern, replacement in _SECRETS:
        if word in folded:
            text = pattern.sub(replacement, text)
    return text
