"""Keeping secrets out of evidence: what proves a state never needs the secret itself."""

from __future__ import annotations

import re

_MARK = "[redacted]"
_SECRETS = (
    # crypt(3) hashes, as in /etc/shadow: the method and its cost may be evidence, salt and hash are not.
    (re.compile(r"(\$(?:y|gy|7|2[abxy]?|[156]|sha1|md5)\$)[./A-Za-z0-9$=,]{8,}"), rf"\1{_MARK}"),
    # PostgreSQL and MariaDB password verifiers.
    (re.compile(r"(SCRAM-SHA-256\$\d+:)[^\s'\"|]+"), rf"\1{_MARK}"),
    (re.compile(r"\bmd5[0-9a-f]{32}\b"), f"md5{_MARK}"),
    (re.compile(r"\*[0-9A-F]{40}\b"), f"*{_MARK}"),
    (
        re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END [A-Z ]*PRIVATE KEY-----)", re.DOTALL),
        rf"\1{_MARK}\2",
    ),
    # Written-out passwords; `passwd:` is left alone, since nsswitch.conf says it.
    (
        re.compile(
            r"((?:(?:password|passphrase|secret)[\"']?[ \t]*[:=]|passwd[\"']?[ \t]*=)[ \t]*)"
            r"(\"[^\"\n]+\"|'[^'\n]+'|[^\s\"',;]{4,})",
            re.IGNORECASE,
        ),
        rf"\1{_MARK}",
    ),
)


def redacted(text: str) -> str:
    """Return `text` with password hashes, private keys and written-out passwords replaced by `[redacted]`."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text
