"""Making a host's output safe to show: what a host prints must not steer a terminal, a page or an XML reader."""

from __future__ import annotations

import re

from medsec.text import Text, says

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, links
    r"|\x1b[P^_X][^\x1b]*(?:\x1b\\)?"  # DCS, PM, APC, SOS
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor
    r"|\x1b[ -/]*[0-~]?"
)
# Controls other than tab and newline; what overrides writing direction; what XML 1.0 cannot hold.
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def plain(text: str) -> str:
    """Return `text` without terminal escapes and control characters; tabs and newlines stay."""
    without_escapes = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    return _INVISIBLE.sub(lambda found: f"\\x{ord(found.group()):02x}", without_escapes)


def plain_text(text: Text) -> Text:
    """Return `text`, made safe in both of its languages."""
    return says(en=plain(text.en), zh=plain(text.zh))
