"""Which connections the rules of a PostgreSQL server let in, as the first rule that matches decides it."""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import Any

import pytest

from medsec.probes.postgresql_access import Access, Addresses, Role, rule_of

OWN = [
    ipaddress.ip_interface("10.66.1.20/24"),
    ipaddress.ip_interface("fd66::20/64"),
    ipaddress.ip_interface("127.0.0.1/8"),
]
ROLES = (
    Role("postgres", superuser=True),
    Role("his", superuser=False, groups=frozenset({"apps"})),
    Role("li", superuser=False),
)


def access(*lines: str) -> Access:
    """Return a server with these rules, written as the view of PostgreSQL shows them: TYPE DATABASES USERS [ADDRESS [MASK]] METHOD."""
    rules = [rule_of(row(number, line), OWN) for number, line in enumerate(lines, 1)]
    return Access(
        "server", 5432, "*", (), (), (), tuple(rules), (), ROLES, ("his", "postgres"), Addresses(), (), {}, {}, ()
    )


def row(number: int, line: str) -> dict[str, Any]:
    kind, databases, users, *rest, method = line.split()
    address = rest[0] if rest else None
    mask = rest[1] if len(rest) > 1 else None
    if address and "/" in address:
        network = ipaddress.ip_network(address)
        address, mask = str(network[0]), str(network.netmask)
    return {
        "line_number": number,
        "type": kind,
        "database": databases.split(","),
        "user_name": users.split(","),
        "address": address,
        "netmask": mask,
        "auth_method": method,
        "options": None,
    }


def let_in(server: Access, role: str) -> set[tuple[str, str]]:
    """Return the lines by which `role` gets into any database over the network, with the addresses."""
    return {
        (way.rule.place, str(way.addresses)) for way in server.ways() if way.role.name == role and way.addresses
    }


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["host all all 10.66.1.10/32 scram-sha-256"], {("pg_hba.conf:1", "10.66.1.10/32")}),
        # What an earlier rule decides, a later one does not decide again.
        (["host all all all reject", "host all all all trust"], set()),
        (
            ["host his his 10.66.1.0/25 reject", "host all +apps 10.66.1.0/24 md5"],
            {("pg_hba.conf:2", "10.66.1.128/25"), ("pg_hba.conf:2", "10.66.1.0/24")},
        ),
        # A refusal of encrypted connections leaves the others.
        (["hostssl all all all reject", "host all his 10.0.0.0/8 md5"], {("pg_hba.conf:2", "10.0.0.0/8")}),
        (["hostssl all all all reject", "hostnossl all all all reject", "host all his all md5"], set()),
        (["host all li all md5"], set()),
        (["host sameuser all 10.66.1.10/32 md5"], {("pg_hba.conf:1", "10.66.1.10/32")}),
        (["host samerole all 10.66.1.10/32 md5"], {("pg_hba.conf:1", "10.66.1.10/32")}),
        (["host samehost,apps his samehost md5"], set()),
        (["host all his samenet md5"], {("pg_hba.conf:1", "10.66.1.0/24, 127.0.0.0/8, fd66::/64")}),
        (["host all his samehost md5"], {("pg_hba.conf:1", "10.66.1.20/32, 127.0.0.1/32, fd66::20/128")}),
        # Nobody knows whom a name means: it may let in everybody, and a refusal of it refuses nobody.
        (["host all all app.his reject", "host all his 10.66.1.10/32 md5"], {("pg_hba.conf:2", "10.66.1.10/32")}),
        (["host all his app.his md5"], {("pg_hba.conf:1", "0.0.0.0/0, ::/0")}),
        # A mask that is no prefix: taken for the network around it, and shutting out nobody.
        (["host all his 10.0.1.0 255.0.255.0 md5"], {("pg_hba.conf:1", "10.0.0.0/8")}),
        (["host all all 10.0.1.0 255.0.255.0 reject", "host all his 10.0.1.7/32 md5"], {("pg_hba.conf:2", "10.0.1.7/32")}),
        (["host replication his 10.66.1.30/32 md5"], {("pg_hba.conf:1", "10.66.1.30/32")}),
        (["host all /^h 10.66.1.10/32 md5"], {("pg_hba.conf:1", "10.66.1.10/32")}),
    ],
)  # fmt: skip
def test_the_first_rule_that_matches_decides(lines: list[str], expected: set[tuple[str, str]]) -> None:
    assert let_in(access(*lines), "his") == expected


def test_a_keyword_in_quotes_shuts_out_nobody() -> None:
    """The view shows no quotes: `"all"` is a database of that name, and reject there refuses nobody else."""
    server = access(
        "local all all reject", "host all all all reject", "local all all trust", "host all his 10.0.0.0/8 md5"
    )
    rules = tuple(dataclasses.replace(rule, exact=number > 1) for number, rule in enumerate(server.rules))
    quoted = dataclasses.replace(server, rules=rules)
    assert let_in(server, "his") == set()
    assert let_in(quoted, "his") == {("pg_hba.conf:4", "10.0.0.0/8")}
    assert {way.rule.method for way in quoted.ways() if way.addresses is None} == {"trust"}


def test_before_version_16_a_slash_is_a_letter() -> None:
    server = access("host all /^.*$ all reject", "host all his 10.0.0.0/8 md5")
    old = dataclasses.replace(
        server, rules=tuple(dataclasses.replace(rule, patterns=False) for rule in server.rules)
    )
    assert let_in(server, "his") == set()
    assert let_in(old, "his") == {("pg_hba.conf:2", "10.0.0.0/8")}


def test_replication_is_not_in_all() -> None:
    server = access("host all all all reject", "host replication all 10.66.1.30/32 trust")
    assert let_in(server, "his") == {("pg_hba.conf:2", "10.66.1.30/32")}


def test_a_role_that_will_be_made_comes_in_by_all_only() -> None:
    assert let_in(access("host all his,li all md5"), "\0") == set()
    server = access("host all his all reject", "host all all all md5")
    # The future role and li are taken alike; one of them stands for both.
    assert {way.role.name for way in server.ways()} == {"postgres", "li"}


def test_the_local_socket_has_its_own_first_rule() -> None:
    server = access("local all postgres peer", "local all all trust", "host all all all reject")
    local = {(way.role.name, way.rule.method) for way in server.ways()}
    assert local == {("postgres", "peer"), ("his", "trust")}


def test_addresses_are_told_by_their_first_networks() -> None:
    networks = [ipaddress.ip_network(f"10.0.{number}.0/24") for number in (1, 3, 5, 7)]
    assert str(Addresses.of(networks)) == "10.0.1.0/24, 10.0.3.0/24, 10.0.5.0/24 ..."
