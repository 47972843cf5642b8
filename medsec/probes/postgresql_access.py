"""Whom the PostgreSQL servers of a host let in: the rules they go by, and what becomes of connections tried from the host itself."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.packetfilter.spans import Spans
from medsec.probes import handshakes, postgresql
from medsec.text import says

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_NONE = Spans(())


@dataclass(frozen=True)
class Addresses:
    """A set of IPv4 and IPv6 addresses."""

    v4: Spans = _NONE
    v6: Spans = _NONE

    @classmethod
    def of(cls, networks: Iterable[Network]) -> Addresses:
        parts: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for network in networks:
            parts[network.version].append((int(network[0]), int(network[-1])))
        return cls(Spans.of(parts[4]), Spans.of(parts[6]))

    def __and__(self, other: Addresses) -> Addresses:
        return Addresses(self.v4 & other.v4, self.v6 & other.v6)

    def __or__(self, other: Addresses) -> Addresses:
        return Addresses(self.v4 | other.v4, self.v6 | other.v6)

    def __sub__(self, other: Addresses) -> Addresses:
        return Addresses(self.v4 - other.v4, self.v6 - other.v6)

    def __bool__(self) -> bool:
        return bool(self.v4) or bool(self.v6)

    def __str__(self) -> str:
        """Return the first few networks of the set."""
        found = [*_networks(self.v4, ipaddress.IPv4Address), *_networks(self.v6, ipaddress.IPv6Address)]
        return ", ".join(found[:3]) + (" ..." if len(found) > 3 else "")


def _networks(spans: Spans, kind: Callable[[int], Any]) -> list[str]:
    return [
        str(network)
        for low, high in spans.parts
        for network in ipaddress.summarize_address_range(kind(low), kind(high))
    ]


EVERYWHERE = Addresses.of([ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")])
LOOPBACK = Addresses.of([ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")])


@dataclass(frozen=True)
class Rule:
    """A line of pg_hba.conf. `exact` is False where whom it means is known from above only: it may let in, it shuts out nobody."""

    place: str
    type: str
    databases: tuple[str, ...]
    users: tuple[str, ...]
    method: str
    options: tuple[str, ...]
    address: str
    addresses: Addresses
    exact: bool
    # Whether a name that begins with / is a regular expression: since version 16.
    patterns: bool = True

    def __str__(self) -> str:
        words = (self.type, ",".join(self.databases), ",".join(self.users), self.address, self.method)
        return f"{self.place} «{' '.join(word for word in words if word)}»"


@dataclass(frozen=True)
class Role:
    """A role that may log in; `groups` are those it belongs to, however indirectly."""

    name: str
    superuser: bool
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Way:
    """How somebody gets in: the first rule that speaks of `role`, `database` and these addresses (None: the local socket)."""

    rule: Rule
    role: Role
    database: str
    addresses: Addresses | None
    # How the connection travels: local, plain, ssl or gss.
    kind: str


@dataclass(frozen=True)
class Peer:
    """Somebody who is connected over the network."""

    role: str
    address: str
    # Whether nothing encrypts it.
    plain: bool = False


@dataclass(frozen=True)
class Access:
    """One running server, and whom it lets in."""

    name: str
    port: int
    listens: str
    pending: tuple[str, ...]
    unread: tuple[str, ...]
    broken: tuple[str, ...]
    rules: tuple[Rule, ...]
    # None where the server is too old to show them.
    maps: tuple[Mapping[str, Any], ...] | None
    roles: tuple[Role, ...]
    databases: tuple[str, ...]
    own: Addresses
    peers: tuple[Peer, ...]
    # Who was tried from which address of this host, without a password: "in", "asked" for one, or "refused".
    tried: Mapping[tuple[str, str], str]
    # Settings of TLS: what they are, and what they are once the server reads its files again.
    tls: Mapping[str, tuple[str, str]]
    # What it said when TLS was tried, as rows of handshakes.ASK.
    shaken: tuple[Sequence[str], ...]

    def at_home(self, peer: Peer) -> bool:
        """Return whether somebody is connected from this host itself."""
        network = ipaddress.ip_network(peer.address.partition("%")[0])
        return not Addresses.of([network]) - LOOPBACK - self.own

    def ways(self) -> Iterator[Way]:
        """Yield every way in, as the first rule that matches decides it; the rules that refuse are none."""
        future = Role("\0", superuser=False)
        for kind in ("local", "plain", "ssl", "gss"):
            rules = [rule for rule in self.rules if kind in _KINDS[rule.type]]
            for role in self._different([*self.roles, future]):
                for database in (*self.databases, "replication", "\0"):
                    yield from _first(rules, role, database, kind)

    def _different(self, roles: Sequence[Role]) -> list[Role]:
        """Of roles that every rule takes alike, one will do; its name may matter where a rule says sameuser."""
        named = any({"sameuser", "samerole", "samegroup"} & set(rule.databases) for rule in self.rules)
        seen: dict[Any, Role] = {}
        for role in roles:
            key = (
                role.superuser,
                tuple(_takes_user(rule, role) for rule in self.rules),
                role.name if named else None,
            )
            seen.setdefault(key, role)
        return list(seen.values())


_KINDS = {
    "local": {"local"},
    "host": {"plain", "ssl", "gss"},
    "hostssl": {"ssl"},
    "hostnossl": {"plain", "gss"},
    "hostgssenc": {"gss"},
    "hostnogssenc": {"plain", "ssl"},
}


def _first(rules: Sequence[Rule], role: Role, database: str, kind: str) -> Iterator[Way]:
    left = EVERYWHERE
    for rule in rules:
        if not (_takes_user(rule, role) and _takes_database(rule, role, database)):
            continue
        if kind == "local":
            if rule.method != "reject":
                yield Way(rule, role, database, None, kind)
            if rule.exact:
                return
            continue
        taken = rule.addresses & left
        if taken and rule.method != "reject":
            yield Way(rule, role, database, taken, kind)
        if rule.exact:
            left = left - taken
        if not left:
            return


def _takes_user(rule: Rule, role: Role) -> bool:
    return any(
        word in ("all", role.name)
        or (word.startswith("+") and word[1:] in (*role.groups, role.name))
        or (rule.patterns and word.startswith("/") and _like(word, role.name))
        for word in rule.users
    )


def _takes_database(rule: Rule, role: Role, database: str) -> bool:
    if database == "replication":
        return "replication" in rule.databases
    return any(
        word in ("all", database)
        or (word == "sameuser" and role.name == database)
        or (word in ("samerole", "samegroup") and database in (*role.groups, role.name))
        or (rule.patterns and word.startswith("/") and _like(word, database))
        for word in rule.databases
        if word != "replication"
    )


def _like(word: str, name: str) -> bool:
    try:
        return re.search(word[1:], name) is not None
    except re.error:
        return True


# One JSON object, then when each file of rules last changed, then trials: as the superuser and as an ordinary role, from
# each of the host's addresses, without a password. The server logs those it refuses. Last, handshakes.
_QUESTION = (
    handshakes.ASK
    + r"""
section facts
ask postgres << 'SQL' || exit 94
SELECT json_build_object('super', (SELECT rolsuper FROM pg_roles WHERE rolname = current_user), 'version', current_setting('server_version_num')::int,
  'listens', current_setting('listen_addresses'), 'loaded', extract(epoch FROM pg_conf_load_time()),
  'pending', ARRAY(SELECT name FROM pg_settings WHERE pending_restart AND name IN ('listen_addresses', 'port', 'hba_file', 'ident_file')),
  'rules', (SELECT json_agg(row_to_json(r)) FROM pg_hba_file_rules r), 'databases', ARRAY(SELECT datname FROM pg_database WHERE datallowconn),
  'roles', (SELECT json_agg(json_build_object('name', rolname, 'super', rolsuper, 'login', rolcanlogin)) FROM pg_authid),
  'members', (SELECT json_agg(json_build_array(pg_get_userbyid(member), pg_get_userbyid(roleid))) FROM pg_auth_members),
  'tls', (SELECT json_object_agg(name, json_build_array(setting, @LATER@)) FROM pg_settings s WHERE name IN ('ssl', 'ssl_min_protocol_version')),
  'peers', (SELECT json_agg(DISTINCT jsonb_build_array(coalesce(usename, ''), host(client_addr), NOT ssl)) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE client_addr IS NOT NULL));
SQL
section maps
if [ "$(echo "SELECT count(*) FROM pg_class WHERE relname = 'pg_ident_file_mappings'" | ask postgres)" = 1 ]; then
  echo 'SELECT row_to_json(m) FROM pg_ident_file_mappings m' | ask postgres
else echo unknown; fi
section files
echo "SELECT coalesce(row_to_json(r) ->> 'file_name', current_setting('hba_file')) FROM pg_hba_file_rules r
  UNION SELECT current_setting('hba_file') UNION SELECT current_setting('ident_file')" | ask postgres | while IFS= read -r name; do
  stat -L -c '%.6Z %n' -- "$name"
  grep -nHE '"([+/]|all"|same(user|role|group|host|net)"|replication")' -- "$name" | sed 's/^\([^:]*:[0-9]*\):.*/quoted \1/'
  grep -ohE '^[^#]*@[^ ,"]+' -- "$name" | grep -oE '@[^ ,"]+' | while IFS= read -r list; do
    case $list in @/*) ;; *) list=@$(dirname -- "$name")/${list#@} ;; esac
    [ ! -e "${list#@}" ] || stat -L -c '%.6Z %n' -- "${list#@}"
  done
done
section addresses
ip -o addr | awk '{ print $4 }' || exit 91
section tried
ordinary=$(echo 'SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper ORDER BY 1 LIMIT 1' | ask postgres)
for address in $(ip -o addr | awk '{ sub("/.*", "", $4); if ($4 !~ "^fe80") print $4 }'); do
  for role in "$owner" "$ordinary"; do
    [ -n "$role" ] || continue
    said=$(echo 'SELECT 1' | runuser -u "$owner" -- env -i PATH="$PATH" LC_ALL=C PGCONNECT_TIMEOUT=5 PGPASSFILE=/dev/null \
      "$program" -XAtqw -h "$address" -p "$port" -U "$role" -d postgres 2>&1) && said=in
    case $said in in) ;; *'no password supplied'*) said=asked ;; *) said=refused ;; esac
    printf '%s\t%s\t%s\n' "$address" "$said" "$role"
  done
done
section tls
at=$(sed -n 6p "$file")
case $at in '*' | 0.0.0.0 | ::) at=localhost ;; *:*) at=[$at] ;; esac
if [ -n "$at" ]; then
  offers -starttls postgres -connect "$at:$port"
  key=$(echo 'SHOW ssl_key_file' | ask postgres)
  case $key in /*) ;; *) key=$data/$key ;; esac
  guards "$key" 2> /dev/null
fi
section end
"""
).replace("@LATER@", f"CASE source WHEN 'command line' THEN setting ELSE {postgresql.FILES_SAY} END")


def servers(host: Host) -> list[Access]:
    """Return every PostgreSQL server that runs on `host`. Raises ProbeError when one cannot be asked."""
    return [parse(parts) for _, parts in postgresql.answers(host, _QUESTION)]


def parse(parts: Mapping[str, list[str]]) -> Access:
    """Return the server that the sections of the answer tell of. Raises ProbeError when they cannot be relied on."""
    port, data, _, _ = parts["about"][0].split("\t")
    facts: dict[str, Any] = json.loads("".join(parts["facts"]))
    own = [ipaddress.ip_interface(text) for text in parts["addresses"]]
    if not facts["super"] or not facts["rules"] or not own or not parts["files"]:
        raise ProbeError(
            says(
                en=f"the rules of the server on port {port} could not be read: no superuser, no rule, no address or no file",
                zh=f"无法读取端口 {port} 上服务的访问规则：非超级用户，或规则、地址、文件为空",
            )
        )
    loaded = float(facts["loaded"])
    # The view leaves out the quotes, in which a keyword is only a name.
    quoted = {
        line.removeprefix("quoted ").rpartition("/")[2] for line in parts["files"] if line.startswith("quoted ")
    }
    if facts["version"] < 160000:  # nor does it name the file
        quoted = {f"pg_hba.conf:{place.rpartition(':')[2]}" for place in quoted}
    changed = [line.split(" ", 1) for line in parts["files"] if not line.startswith("quoted ")]
    maps = None if parts["maps"] == ["unknown"] else tuple(json.loads(line) for line in parts["maps"])
    return Access(
        name=f"PostgreSQL {facts['version'] // 10000} (port {port}, {data})",
        port=int(port),
        listens=facts["listens"],
        pending=tuple(facts["pending"]),
        unread=tuple(sorted({name for time, name in changed if float(time) > loaded + 0.001})),
        broken=tuple(f"line {rule['line_number']}: {rule['error']}" for rule in facts["rules"] if rule["error"]),
        rules=tuple(
            replace(found, exact=found.exact and found.place not in quoted, patterns=facts["version"] >= 160000)
            for found in (rule_of(rule, own) for rule in facts["rules"] if not rule["error"])
        ),
        maps=maps,
        roles=tuple(_roles(facts["roles"], facts["members"] or [])),
        databases=tuple(facts["databases"]),
        own=Addresses.of(ipaddress.ip_network(one.ip) for one in own),
        peers=tuple(Peer(role, address, plain) for role, address, plain in facts["peers"] or []),
        tried={(role, address): said for address, said, role in (line.split("\t") for line in parts["tried"])},
        tls={name: (now, later or "") for name, (now, later) in facts["tls"].items()},
        shaken=tuple(line.split("\t")[1:] for line in parts["tls"]),
    )


def _roles(roles: Iterable[Mapping[str, Any]], members: Sequence[Sequence[str]]) -> Iterator[Role]:
    for role in roles:
        if role["login"]:
            yield Role(role["name"], role["super"], postgresql.groups(role["name"], members))


def rule_of(row: Mapping[str, Any], own: Sequence[ipaddress.IPv4Interface | ipaddress.IPv6Interface]) -> Rule:
    """Return the rule that a row of pg_hba_file_rules tells of.

    + own: the host's addresses with their networks, which samehost and samenet mean
    """
    file = str(row.get("file_name") or "pg_hba.conf").rsplit("/", 1)[-1]
    address, mask = row["address"], row["netmask"]
    shown = f"{address} {mask}" if mask else address or ""
    exact, addresses = True, Addresses()
    if row["type"] == "local":
        pass
    elif address == "samehost":
        addresses = Addresses.of(ipaddress.ip_network(one.ip) for one in own)
    elif address == "samenet":
        addresses = Addresses.of(one.network for one in own)
    elif address == "all":
        addresses = EVERYWHERE
    elif mask:
        network, exact = _with_mask(address, mask)
        addresses, shown = Addresses.of([network]), str(network) if exact else shown
    else:
        # A host name: whoever answers for it in the DNS.
        addresses, exact = EVERYWHERE, False
    return Rule(
        place=f"{file}:{row['line_number']}",
        type=row["type"],
        databases=tuple(row["database"] or ()),
        users=tuple(row["user_name"] or ()),
        method=row["auth_method"],
        options=tuple(row["options"] or ()),
        address=shown,
        addresses=addresses,
        exact=exact,
    )


def _with_mask(address: str, mask: str) -> tuple[Network, bool]:
    """Return the network, and whether the mask is a prefix; where it is none, the smallest network that holds all it means."""
    ip, bits = ipaddress.ip_address(address.partition("%")[0]), ipaddress.ip_address(mask)
    ones = f"{int(bits):0{bits.max_prefixlen}b}"
    length = len(ones) - len(ones.lstrip("1"))
    return ipaddress.ip_network(f"{ip}/{length}", strict=False), "1" not in ones[length:]
