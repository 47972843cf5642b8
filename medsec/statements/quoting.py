"""Values inside SQL: nothing enters a statement but a number, or what one of these functions has quoted."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterable

from medsec.errors import UsageError
from medsec.statements.pack import Dialect
from medsec.text import says

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_$#]*")
# What a client or server reads inside quotes: MySQL its escapes, sqlcmd its variables.
_READ_INSIDE: dict[Dialect, str] = {"mysql": "\\", "tsql": "$("}
_UPPER: tuple[Dialect, ...] = ("oracle", "dm")
_LONGEST = 128


class Sql(str):
    """Text that is SQL already."""

    __slots__ = ()


def filters(dialect: Dialect) -> dict[str, Callable[..., Sql]]:
    """Return the filters that the templates of `dialect` use."""
    return {
        "text": lambda value: text(value, dialect),
        "name": lambda value: name(value, dialect),
        "texts": lambda values: Sql(", ".join(text(value, dialect) for value in values)),
        "names_as_text": lambda values: Sql(", ".join(text(stored(value, dialect), dialect) for value in values)),
        "outside": lambda networks, column: outside(networks, column, dialect),
        "addresses": lambda networks: Sql(", ".join(_short(network) for network in networks)),
        "quoted_addresses": lambda networks: Sql(", ".join(f'"{_short(network)}"' for network in networks)),
        "network": lambda network: Sql(str(ipaddress.ip_network(network))),
    }


def finalize(value: object) -> str:
    """Let SQL and whole numbers into a statement, and nothing else: a template that forgets to quote does not render."""
    if isinstance(value, Sql) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise TypeError(f"{value!r} would enter a statement unquoted")


def text(value: str, dialect: Dialect) -> Sql:
    """Return `value` as a text literal; raises UsageError for what no literal can hold safely."""
    prefix = "N" if dialect == "tsql" else ""
    return Sql(prefix + "'" + _checked(value, dialect).replace("'", "''") + "'")


def name(value: str, dialect: Dialect) -> Sql:
    """Return `value` as the name of an account; raises UsageError for what no name can hold safely."""
    written = stored(value, dialect)
    if dialect == "tsql":
        return Sql("[" + written.replace("]", "]]") + "]")
    if dialect == "mysql":
        return Sql(text(written, dialect) + "@'localhost'")
    if '"' in written:
        raise _refused(value)
    return Sql(f'"{written}"')


def stored(value: str, dialect: Dialect) -> str:
    """Return an account's name as the server keeps it: plain names in capitals on Oracle and DM."""
    checked = _checked(value, dialect)
    return checked.upper() if dialect in _UPPER and _PLAIN.fullmatch(checked) else checked


def outside(networks: Iterable[str], column: str, dialect: Dialect) -> Sql:
    """Return the condition that the address in `column` (SQL of the pack's own) is in none of the IPv4 `networks`."""
    exact: list[str] = []
    like: list[str] = []
    for written in networks:
        network = ipaddress.IPv4Network(written)
        if network.prefixlen > 24:
            exact += [str(address) for address in network]
            continue
        octets = network.prefixlen // 8 + (network.prefixlen % 8 > 0)
        like += [
            ".".join([*str(part.network_address).split(".")[:octets], "%"]) if octets else "%"
            for part in network.subnets(new_prefix=octets * 8)
        ]
    conditions = [f"{column} NOT LIKE {text(pattern, dialect)}" for pattern in like]
    if exact:
        conditions.insert(0, f"{column} NOT IN ({', '.join(text(address, dialect) for address in exact)})")
    return Sql("(" + " AND ".join(conditions) + ")")


def _short(written: str) -> str:
    network = ipaddress.ip_network(written)
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _checked(value: str, dialect: Dialect) -> str:
    refused = _READ_INSIDE.get(dialect)
    if (
        not value.strip()
        or len(value) > _LONGEST
        or any(unicodedata.category(letter) in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp") for letter in value)
        or (refused is not None and refused in value)
    ):
        raise _refused(value)
    return value


def _refused(value: str) -> UsageError:
    return UsageError(
        says(
            en=f"{value!r} cannot be written into a statement safely: use at most {_LONGEST} printable characters, without "
            'line breaks, and where the product reads them, without ", \\ and $(',
            zh=f'{value!r} 无法安全写入语句：最多 {_LONGEST} 个可打印字符，不得含换行；视产品不得含 "、\\ 或 $(',
        )
    )
