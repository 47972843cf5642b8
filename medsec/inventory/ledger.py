"""The ledger (台账): what should be there, as the institution registered it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Literal

from pydantic import Field, field_validator, model_validator

from medsec.catalogue.controls import Kind, OsFamily, Severity
from medsec.catalogue.source import Bilingual, Strict
from medsec.inventory.prices import Approval, PriceTable, require_distinct


class Listen(Strict):
    """A port that a host is registered to serve."""

    port: int = Field(ge=1, le=65535)
    protocol: Literal["tcp", "udp"] = "tcp"
    process: str
    # Names of `address_sets`; `local` alone means that the service answers on loopback only.
    sources: list[str] = Field(min_length=1)
    purpose: Bilingual


class Forward(Strict):
    """A flow that a gateway is registered to let through."""

    sources: list[str] = Field(min_length=1)
    destinations: list[str] = Field(min_length=1)
    protocol: Literal["tcp", "udp"] = "tcp"
    port: int = Field(ge=1, le=65535)
    purpose: Bilingual


class Reach(Strict):
    """A TCP service elsewhere that a host's work depends on: the 医保 endpoint, a printer, another site's database."""

    address: str
    port: int = Field(ge=1, le=65535)
    purpose: Bilingual

    @field_validator("address")
    @classmethod
    def _is_address(cls, address: str) -> str:
        return str(ipaddress.ip_address(address))


class BreakGlass(Strict):
    """An account that no number of failed logins locks (应急账户): a dated permission, as a waiver is; every field must be given."""

    account: str = Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")
    reason: str = Field(min_length=1)
    owner: str = Field(min_length=1)
    approver: str = Field(min_length=1)
    # What protects the account instead (补偿措施): a sealed envelope, an alarm at each login.
    compensation: list[str] = Field(min_length=1)
    # The last day on which the permission holds.
    expires: date

    @field_validator("account")
    @classmethod
    def _not_root(cls, account: str) -> str:
        if account == "root":
            raise ValueError("root cannot be one: it is what is guessed first; name an account of its own")
        return account


_PUBLIC_KEY = r"^(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)|ssh-rsa) [A-Za-z0-9+/]+=*$"


class Peer(Strict):
    """The other end of a flow between two hosts of the ledger, or of another site."""

    host: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    address: str

    @field_validator("address")
    @classmethod
    def _is_address(cls, address: str) -> str:
        return str(ipaddress.ip_address(address))


class CopyKeeper(Peer):
    """A host that fetches copies of this server's backups; see docs/backups.md."""

    # The key with which it comes, as `medsec backup key` prints it; none before it has made one.
    key: str | None = Field(default=None, pattern=_PUBLIC_KEY)


class CopySource(CopyKeeper):
    """A server of whose backups this host keeps copies; `key` is that server's own SSH host key."""

    port: int = Field(default=22, ge=1, le=65535)
    systems: list[Literal["postgresql", "mariadb"]] = Field(min_length=1)


class Collector(Peer):
    """The host that collects what this server's databases write of statements; see docs/collector.md."""

    port: int = Field(default=2514, ge=1, le=65535)


class StatementSource(Peer):
    """A server whose databases' statements this host collects."""

    systems: list[Literal["postgresql", "mariadb"]] = Field(min_length=1)


class Escrow(Strict):
    """Where the key of the copies lies in a sealed envelope, apart from the host that uses it (密钥托管)."""

    place: str = Field(min_length=1)
    holder: str = Field(min_length=1)
    # The day on which it was put there, or last taken out, tried and sealed again.
    sealed: date


class Administrator(Strict):
    """A person who administers a host or its databases, and as what (三权分立); see docs/administrators.md."""

    person: str = Field(min_length=1)
    # Who has root's powers; who has the database's, by escalation; who decides on its audit; who reads what it wrote.
    role: Literal["system", "database", "security", "audit"]
    # An account of the database for `database` and `security`, of the operating system for the others.
    account: str = Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")
    # The person's other accounts of the operating system on this host.
    logins: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _named_as_a_database_role(self) -> Administrator:
        if self.role in ("database", "security") and not re.fullmatch(r"(?!pg_)[a-z_][a-z0-9_]*", self.account):
            raise ValueError(
                f"account {self.account!r} is to be one of the database: lower-case letters, digits and _, not pg_..."
            )
        return self


class TestData(Strict):
    """Test data that stays for a time, by the name that findings give it."""

    name: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    # The last day on which it may be there.
    until: date


class ToldVersion(Strict):
    """The version of a database that medsec cannot ask for it (Oracle, SQL Server, MySQL, DM8 ...), as somebody read it on the server."""

    # As `runs` names it.
    product: str = Field(min_length=1)
    version: str = Field(pattern=r"^[0-9]+(\.[0-9]+)*$")
    # The newest that its maker offered of the same series on that day.
    newest: str = Field(pattern=r"^[0-9]+(\.[0-9]+)*$")
    read_by: str = Field(min_length=1)
    read: date

    @field_validator("product")
    @classmethod
    def _cannot_be_asked(cls, product: str) -> str:
        if product in ("postgresql", "mariadb"):
            raise ValueError(f"{product} is asked for its version by medsec; leave the entry out")
        return product


class LedgerHost(Strict):
    """One host's entry in the ledger."""

    kind: Kind
    os_family: OsFamily
    address: str
    department: Bilingual
    owner: str
    location: Bilingual
    purpose: Bilingual
    runs: list[str] = Field(default_factory=list)
    listens: list[Listen] = Field(default_factory=list)
    forwards: list[Forward] = Field(default_factory=list)
    # Tried from the host before and after each change of its way in; see docs/guard.md.
    reaches: list[Reach] = Field(default_factory=list)
    # Whose powers `postgresql_administrators_separated` keeps apart.
    administrators: list[Administrator] = Field(default_factory=list)
    # What `test_data_destroyed` may find.
    test_data: list[TestData] = Field(default_factory=list)
    # What `database_version_supported` goes by where a server cannot be asked.
    versions: list[ToldVersion] = Field(default_factory=list)
    # Who fetches copies of this server's backups; of whose backups this host keeps copies, and where their key is in escrow.
    copied_to: list[CopyKeeper] = Field(default_factory=list)
    copies_of: list[CopySource] = Field(default_factory=list)
    copies_escrow: list[Escrow] = Field(default_factory=list)
    # Who collects what this server's databases write of statements; of whose databases this host collects it.
    collected_by: list[Collector] = Field(default_factory=list, max_length=1)
    collects_from: list[StatementSource] = Field(default_factory=list)
    # See docs/secrets.md.
    break_glass: list[BreakGlass] = Field(default_factory=list)
    # Tables of prices and catalogues that are watched, and what of them was approved: read from `prices.yml`, never written here.
    price_catalogue: list[PriceTable] = Field(default_factory=list)
    price_approvals: list[Approval] = Field(default_factory=list)

    @field_validator("price_catalogue")
    @classmethod
    def _each_table_once(cls, tables: list[PriceTable]) -> list[PriceTable]:
        require_distinct(tables)
        return tables

    @model_validator(mode="after")
    def _runs_what_holds_prices(self) -> LedgerHost:
        for table in self.price_catalogue:
            if table.product not in self.runs:
                raise ValueError(
                    f"price_catalogue: {table.label}: the host is registered to run {', '.join(self.runs) or 'nothing'}; "
                    f"add {table.product} to `runs`, or strike the table"
                )
        return self

    @property
    def registers(self) -> frozenset[str]:
        """The fields by which a control may speak of the host (`applies_to.registers`) that are not empty."""
        return frozenset(
            name
            for name in (
                "copied_to",
                "copies_of",
                "price_catalogue",
                "administrators",
                "collected_by",
                "collects_from",
            )
            if getattr(self, name)
        )

    @field_validator("address")
    @classmethod
    def _is_address(cls, address: str) -> str:
        return str(ipaddress.ip_address(address))

    @model_validator(mode="after")
    def _versions_are_of_what_runs(self) -> LedgerHost:
        for told in self.versions:
            if told.product not in self.runs:
                raise ValueError(
                    f"versions: {told.product!r} is not among `runs` ({', '.join(self.runs) or 'none'})"
                )
        return self


class Deadlines(Strict):
    """Days in which a site has a failure mended, by severity. No rule sets them: a site sets its own."""

    critical: int = Field(default=3, ge=0)
    high: int = Field(default=15, ge=0)
    medium: int = Field(default=30, ge=0)
    low: int = Field(default=90, ge=0)

    def due(self, severity: Severity, found: date) -> date:
        """Return the day by which what was found on `found` is to be mended."""
        days: int = getattr(self, severity)
        return found + timedelta(days=days)


class Ledger(Strict):
    """The site's ledger: its hosts, and the named sets of addresses that rules are written with."""

    institution: Bilingual
    mlps_level: Literal[2, 3] = 2
    deadlines: Deadlines = Field(default_factory=Deadlines)
    address_sets: dict[str, list[str]]
    time_sources: list[str] = Field(min_length=1)
    hosts: dict[str, LedgerHost] = Field(min_length=1)

    @field_validator("address_sets")
    @classmethod
    def _are_networks(cls, sets: dict[str, list[str]]) -> dict[str, list[str]]:
        for name, networks in sets.items():
            if name == "local":
                raise ValueError("`local` means loopback and cannot be defined")
            if not networks:
                raise ValueError(f"the address set {name!r} is empty")
            for network in networks:
                ipaddress.ip_network(network)
        return sets

    @model_validator(mode="after")
    def _sources_are_known(self) -> Ledger:
        known = ", ".join(self.address_sets)
        for host_name, host in self.hosts.items():
            named = {name for entry in host.listens for name in entry.sources if name != "local"}
            named |= {name for entry in host.forwards for name in (*entry.sources, *entry.destinations)}
            for name in sorted(named - set(self.address_sets)):
                raise ValueError(f"host {host_name!r} names the address set {name!r}; known sets: {known}")
        return self

    @model_validator(mode="after")
    def _copies_agree(self) -> Ledger:
        """Both ends of a copy say the same, and the keeper is let in; an end that this ledger does not register is another site's."""
        for name, host in self.hosts.items():
            for keeper in host.copied_to:
                self._agrees(name, "copied_to", keeper, "copies_of")
            for source in host.copies_of:
                self._agrees(name, "copies_of", source, "copied_to")
                self._runs(name, "copies_of", source, source.systems)
                self._lets_in(name, "copies_of", source, source.port)
        return self

    @model_validator(mode="after")
    def _collections_agree(self) -> Ledger:
        """Both ends of a collection of statements say the same, and the collector lets the server in."""
        for name, host in self.hosts.items():
            for collector in host.collected_by:
                self._agrees(name, "collected_by", collector, "collects_from")
                self._lets_in(name, "collected_by", collector, collector.port)
            for source in host.collects_from:
                self._agrees(name, "collects_from", source, "collected_by")
                self._runs(name, "collects_from", source, source.systems)
        return self

    def _agrees(self, name: str, field: str, other: Peer, counterpart: str) -> None:
        if other.host == name:
            raise ValueError(f"host {name!r}: {field}: a copy on the host itself is none; name another host")
        entry = self.hosts.get(other.host)
        if entry is None:
            return
        if other.address != entry.address:
            raise ValueError(
                f"host {name!r}: {field}: {other.host} is registered at {entry.address}, got {other.address}"
            )
        if name not in [end.host for end in getattr(entry, counterpart)]:
            raise ValueError(
                f"host {name!r}: {field} names {other.host!r}, whose {counterpart} lacks {name!r}; add it there"
            )

    def _runs(self, name: str, field: str, source: Peer, systems: Sequence[str]) -> None:
        entry = self.hosts.get(source.host)
        if entry is not None and not set(systems) <= set(entry.runs):
            raise ValueError(
                f"host {name!r}: {field}: {source.host} is registered to run {', '.join(entry.runs) or 'nothing'}, "
                f"got {', '.join(systems)}"
            )

    def _lets_in(self, name: str, field: str, other: Peer, number: int) -> None:
        entry, address = self.hosts.get(other.host), ipaddress.ip_address(self.hosts[name].address)
        if entry is None:
            return
        sets = [one for port in entry.listens if port.port == number for one in port.sources if one != "local"]
        if not any(address in ipaddress.ip_network(net) for one in sets for net in self.address_sets.get(one, [])):
            raise ValueError(
                f"host {name!r}: {field}: {other.host} is not registered to listen on port {number} for {address}; "
                f"add an address set with it to `sources` there"
            )
