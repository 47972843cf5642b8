"""What a host, its address and its login may be called: these words go into file names, command lines and screens."""

from __future__ import annotations

import re

from medsec.errors import UsageError
from medsec.text import says

LONGEST = 63
# Letters and digits of any script, so that a clinic may call a host 收费-01; nothing that a shell, a path, a terminal or
# an option parser reads.
_NAME = re.compile(rf"(?!_)[^\W_](?:[\w.-]{{0,{LONGEST - 2}}}[^\W_])?")
_ADDRESS = re.compile(r"[A-Za-z0-9:](?:[A-Za-z0-9._:%-]{0,252}[A-Za-z0-9:])?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}\$?")


def require_name(place: str, name: str) -> None:
    """Raise UsageError unless `name` may be a host's."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            says(
                en=f"{place}: host name {_shown(name)}: accepted are 1 to {LONGEST} letters (also Chinese), digits, '.', '-' and '_', "
                "a letter or digit at both ends; rename it",
                zh=f"{place}：主机名 {_shown(name)} 不可用：须为 1 至 {LONGEST} 个字母（含汉字）、数字、“.”“-”“_”，且首尾为字母或数字；请改名",
            )
        )


def require_address(place: str, host: str, variable: str, address: str) -> None:
    """Raise UsageError unless `address` may be an address or a DNS name."""
    if not _ADDRESS.fullmatch(address):
        raise UsageError(
            says(
                en=f"{place}: host {host}: {variable}: {_shown(address)} is neither an IP address nor a DNS name; correct it",
                zh=f"{place}：主机 {host}：{variable} 的值 {_shown(address)} 既非 IP 地址也非域名；请更正",
            )
        )


def require_user(place: str, host: str, variable: str, user: str) -> None:
    """Raise UsageError unless `user` may be an account's name."""
    if not _USER.fullmatch(user):
        raise UsageError(
            says(
                en=f"{place}: host {host}: {variable}: {_shown(user)} is no account name (letters, digits, '.', '-', '_', '@'); correct it",
                zh=f"{place}：主机 {host}：{variable} 的值 {_shown(user)} 不是有效的账户名（字母、数字、“.”“-”“_”“@”）；请更正",
            )
        )


def _shown(text: str) -> str:
    return ascii(text) if len(text) <= 80 else f"{text[:80]!a}... ({len(text)})"
