"""Path patterns as `touches.files` writes them: `*` and `?` within one segment, `**` any depth."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"[.\[\]{}()+^$|\\]")
_WILD = re.compile(r"[*?]")


def regex(pattern: str) -> str:
    """Return an extended regular expression for the whole of a path, which Python and `find -regex` read alike."""
    escaped = _SPECIAL.sub(lambda match: "\\" + match.group(0), pattern)
    marked = escaped.replace("/**/", "\0").replace("/**", "\1")
    marked = marked.replace("*", "[^/]*").replace("?", "[^/]")
    return marked.replace("\0", "/(.*/)?").replace("\1", "(/.*)?")


def matcher(pattern: str) -> re.Pattern[str]:
    """Return `regex(pattern)`, compiled."""
    return re.compile(regex(pattern))


def prefix(pattern: str) -> str:
    """Return the folder below which everything lies that `pattern` matches, or the path itself without wildcards."""
    wild = _WILD.search(pattern)
    if wild is None:
        return pattern
    return pattern[: wild.start()].rpartition("/")[0] or "/"


def depth(pattern: str) -> int | None:
    """Return how many segments below `prefix(pattern)` a match may lie; None for any number."""
    if "**" in pattern:
        return None
    above = prefix(pattern).rstrip("/").count("/")
    return pattern.count("/") - above
