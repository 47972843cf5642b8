"""What a run's folder holds, as its files spell it. `docs/results.md` documents the schema."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final, Literal

from pydantic import Field

from medsec.catalogue.controls import Control, Severity
from medsec.catalogue.source import Bilingual, Strict
from medsec.catalogue.standards import Item, Standards
from medsec.inventory.hosts import Host
from medsec.inventory.ledger import Deadlines

SCHEMA: Final = "medsec.run/1"


class IdentityFacts(Strict):
    """Who a host said it was (`medsec.judge.identity.Identity`)."""

    hostname: str
    machine: str
    host_key: str | None
    os_id: str
    os_version: str
    os_family: str
    kernel: str
    clock: int | None
    # Empty in runs of older versions.
    isolated: str = ""


class HostFacts(Strict):
    """A host as the ledger had it on the day of the run."""

    name: str
    address: str
    kind: str
    os_family: str
    department: Bilingual
    owner: str
    location: Bilingual
    purpose: Bilingual

    @classmethod
    def of(cls, host: Host) -> HostFacts:
        entry = host.ledger
        return cls(
            name=host.name,
            address=entry.address,
            kind=entry.kind,
            os_family=entry.os_family,
            department=entry.department,
            owner=entry.owner,
            location=entry.location,
            purpose=entry.purpose,
        )


class ControlFacts(Strict):
    """A control as the catalogue had it on the day of the run."""

    id: str
    item: str
    family: str
    title: Bilingual
    why: Bilingual
    impact: Bilingual
    severity: Severity
    enforce: bool
    who_acts: Bilingual | None

    @classmethod
    def of(cls, control: Control) -> ControlFacts:
        return cls(
            id=control.id,
            item=control.item,
            family=control.family,
            title=control.title,
            why=control.why,
            impact=control.impact,
            severity=control.severity,
            enforce=control.enforce,
            who_acts=control.who_acts,
        )


class ItemFacts(Strict):
    """An inspected item (检查项), whether or not a control of the run serves it."""

    id: str
    title: Bilingual
    severity: Severity
    # M: a machine can check and enforce it; C: a machine can check it; D: a document or record.
    item_class: Literal["M", "C", "D"]
    family: Bilingual
    # What the laws and standards call it, as they are cited.
    clauses: list[str]
    # False where a system of the site's protection level (等级保护) is not asked for it.
    level_applies: bool
    # What of it no control judges, and the kinds of hosts of which it speaks; empty in runs of older versions.
    remainder: Bilingual | None = None
    applies_to: list[str] = Field(default_factory=list)

    @classmethod
    def of(cls, item: Item, standards: Standards, mlps_level: int) -> ItemFacts:
        return cls(
            id=item.id,
            title=item.title,
            severity=item.severity,
            item_class=item.item_class,
            family=standards.families[item.family],
            clauses=list(item.clauses),
            level_applies=mlps_level > 2 or item.level2.standing != "not_applicable",
            remainder=item.remainder,
            applies_to=list(item.applies_to),
        )


class Inputs(Strict):
    """SHA-256 over what else decides a run, so that it is resumed only with the same; empty in runs of older versions."""

    # Ledger, logins and profiles of the run's hosts.
    inventory: str = ""
    # The parameters in force for each of them.
    parameters: str = ""
    waivers: str = ""


class Permission(Strict):
    """A waiver of an item that no control judges: what people are to find unmet, until when, and what protects meanwhile."""

    item: str
    hosts: list[str]
    reason: str
    owner: str
    approver: str
    compensation: list[str]
    expires: date

    def expired(self, day: datetime) -> bool:
        """Whether it no longer held on `day`."""
        return day.astimezone().date() > self.expires


class Resumed(Strict):
    """Who went on with a run that had been cut short, and when."""

    started: datetime
    operator: str
    controller: str
    argv: list[str]


class RunHeader(Strict):
    """`run.json`: what was asked of whom, by whom, with which catalogue."""

    schema_: Literal["medsec.run/1"] = Field(SCHEMA, alias="schema")
    id: str
    medsec: str
    catalogue: str
    operator: str
    controller: str
    argv: list[str]
    started: datetime
    # None while the run goes on, and for good where it was cut short.
    finished: datetime | None
    institution: Bilingual
    mlps_level: int
    # Days to mend a failure, as the ledger had them.
    deadlines: Deadlines = Field(default_factory=Deadlines)
    # False where there was no ledger (`medsec verify local`).
    registered: bool = True
    inputs: Inputs = Field(default_factory=Inputs)
    resumed: list[Resumed] = Field(default_factory=list)
    hosts: list[HostFacts]
    controls: list[ControlFacts]
    items: list[ItemFacts]
    permissions: list[Permission] = Field(default_factory=list)

    @property
    def planned(self) -> int:
        return len(self.hosts) * len(self.controls)
