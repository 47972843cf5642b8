"""Standards: the inspected items, the clauses of laws and standards they answer, and the source requirements."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from medsec.catalogue.controls import Kind, Severity
from medsec.catalogue.located import LocatedFile
from medsec.catalogue.source import Bilingual, Strict
from medsec.errors import UsageError
from medsec.text import Text, says

ItemClass = Literal["M", "C", "D"]
RequirementClass = Literal["M", "C", "D", "N"]
Seen = Literal["text", "number_from_memory", "memory"]
StoredStatus = Literal["manual", "planned"]
ClauseStatus = Literal["manual", "planned", "partly_automated", "automated"]
RegisterKind = Literal[
    "law", "departmental_rule", "local_rule", "notice", "standard", "specification", "checklist", "template"
]

ITEM_ID: Final = r"^[A-Z]{2}-[0-9]{2}$"
REQUIREMENT_ID: Final = r"^S[0-9]-[0-9]{2,3}$"


class Level2(Strict):
    """How an item stands for a system graded 第二级."""

    standing: Literal["applicable", "not_applicable", "by_rule"]
    rules: tuple[str, ...] = ()
    note: Bilingual | None = None

    @model_validator(mode="after")
    def _says_why(self) -> Level2:
        if (self.standing == "by_rule") != bool(self.rules):
            raise ValueError("`rules` names the clauses of a by_rule item, and of no other")
        if self.standing != "applicable" and self.note is None:
            raise ValueError(f"an item that is {self.standing} at level 2 needs a note that says why")
        return self


class Item(Strict):
    """An inspected item (检查项): what an inspector ticks and what reports show."""

    id: str = Field(pattern=ITEM_ID)
    family: str
    title: Bilingual
    applies_to: tuple[Kind, ...] = Field(min_length=1)
    item_class: ItemClass = Field(alias="class")
    severity: Severity
    check: Bilingual
    remedy: Bilingual
    failing_example: Bilingual
    finding: Bilingual
    caution: Bilingual | None = None
    # What of it none of its controls judges: while that is so, passing them does not make it conform.
    remainder: Bilingual | None = None
    level2: Level2
    sources: tuple[str, ...] = Field(min_length=1)
    clauses: tuple[str, ...] = Field(min_length=1)

    @property
    def by_machine(self) -> bool:
        """Whether a check on a host can decide the item; the others are met by documents."""
        return self.item_class != "D"


class Clause(Strict):
    """A numbered requirement of a law or standard: cited, never an id of ours."""

    id: str
    level2: tuple[str, ...] = ()
    former: str | None = None
    assesses: str | None = None
    title: Bilingual
    text: Bilingual
    note: Bilingual | None = None
    items: tuple[str, ...]
    status: StoredStatus
    seen: Seen
    # Filled by the loader, never written in a register.
    register_id: str
    prefix: str

    @model_validator(mode="after")
    def _id_is_a_citation(self) -> Clause:
        if not self.id.startswith(f"{self.prefix} "):
            raise ValueError(
                f"id: must start with the register's prefix {self.prefix!r} and a space, got {self.id!r}"
            )
        if self.status == "planned" and not self.items:
            raise ValueError("status: a clause without items cannot be planned; accepted: manual")
        return self

    @property
    def number(self) -> str:
        """The clause's number inside its law or standard."""
        return self.id.removeprefix(f"{self.prefix} ")

    @property
    def references(self) -> tuple[str, ...]:
        """Every way to cite the clause: its number, its level-2 counterparts, its number before an amendment."""
        numbers = (self.number, *self.level2, *((self.former,) if self.former else ()))
        return tuple(f"{self.prefix} {number}" for number in numbers) + numbers


class Register(Strict):
    """One law or standard, with the clauses that bear on a host or an institution."""

    id: str
    prefix: str = Field(min_length=1)
    kind: RegisterKind
    title: Bilingual
    issuer: Bilingual
    scope: Bilingual
    in_force: date | None = None
    note: Bilingual | None = None
    clauses: tuple[Clause, ...] = Field(min_length=1)


class Requirement(Strict):
    """One row of the source texts, and the items that answer it."""

    id: str = Field(pattern=REQUIREMENT_ID)
    requirement_class: RequirementClass = Field(alias="class")
    place: str = Field(min_length=1)
    text: Bilingual
    items: tuple[str, ...]

    @property
    def source(self) -> str:
        """The id of the source text that the requirement stands in."""
        return self.id.split("-")[0]


@dataclass(frozen=True)
class Coverage:
    """How much of a clause the controls that exist now can check.

    `served` and `unserved` are the ids of its machine-checkable items; print both, so that the denominator is seen.
    """

    status: ClauseStatus
    served: tuple[str, ...]
    unserved: tuple[str, ...]


Entry = TypeVar("Entry", Item, Clause, Requirement)


@dataclass(frozen=True)
class Standards:
    """All items, clauses and requirements, looked up by id."""

    items: Mapping[str, Item]
    registers: Mapping[str, Register]
    clauses: Mapping[str, Clause]
    requirements: Mapping[str, Requirement]
    families: Mapping[str, Bilingual]
    classes: Mapping[str, Bilingual]
    severities: Mapping[str, Bilingual]
    sources: Mapping[str, Bilingual]

    def item(self, item_id: str) -> Item:
        """Return the item `item_id`; raises UsageError for an unknown one."""
        return _lookup(self.items, item_id, Text("item", "检查项"))

    def requirement(self, requirement_id: str) -> Requirement:
        """Return the requirement `requirement_id`; raises UsageError for an unknown one."""
        return _lookup(self.requirements, requirement_id, Text("requirement", "来源要求"))

    def clause(self, reference: str) -> Clause:
        """Return the clause that `reference` cites.

        Accepts the id, the bare number where only one register has it, the level-2 number, and a number before an
        amendment; spaces, case and the width of brackets do not matter. Raises UsageError for an unknown or an
        ambiguous one.
        """
        found = self._citations.get(_normal(reference), ())
        if not found:
            return _lookup(self.clauses, reference, Text("clause", "条款"))
        if len(found) > 1:
            names = ", ".join(found)
            raise UsageError(
                says(
                    en=f"clause {reference!r} is ambiguous; it may be: {names}. Write the law or standard before the number",
                    zh=f"条款 {reference!r} 不唯一，可能是：{names}。请在条号前写明法规或标准",
                )
            )
        return self.clauses[found[0]]

    def find(self, reference: str) -> Item | Clause | Requirement:
        """Return the item, requirement or clause that `reference` names; raises UsageError when none does."""
        name = reference.strip().upper()
        if name in self.items:
            return self.items[name]
        if name in self.requirements:
            return self.requirements[name]
        return self.clause(reference)

    def coverage(self, clause: Clause, served: Collection[str]) -> Coverage:
        """Return how far the controls reach `clause`, given the ids of the items that they serve now (`served`).

        The register stores only `manual` or `planned`. A `manual` clause stays manual whatever is served: what we
        check is evidence for the person who decides. A `planned` one is `automated` when every item of it that a
        machine can check is served whole, `partly_automated` when some are, or a part of them.
        """
        checkable = [item_id for item_id in clause.items if self.items[item_id].by_machine]
        now = tuple(item_id for item_id in checkable if item_id in served)
        missing = tuple(item_id for item_id in checkable if item_id not in served)
        whole = not any(self.items[item_id].remainder for item_id in now)
        return Coverage(_status(clause.status, now, missing, whole=whole), now, missing)

    @cached_property
    def _citations(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for clause in self.clauses.values():
            for reference in dict.fromkeys(map(_normal, clause.references)):
                found[reference] = (*found.get(reference, ()), clause.id)
        return found


def load_standards(root: Path) -> Standards:
    """Return the standards kept in the folder `root`: items.yml, requirements.yml and clauses/*.yml.

    Raises UsageError, naming the file, the line and the entry, for a file that does not parse, an unknown or missing
    key, an empty translation, an id written twice, and a reference that does not resolve or is not returned.
    """
    items_file = LocatedFile(root / "items.yml")
    items_file.expect({"classes", "severities", "families", "items"})
    requirements_file = LocatedFile(root / "requirements.yml")
    requirements_file.expect({"sources", "requirements"})
    registers, register_files = _load_registers(root / "clauses")
    items = items_file.entries("items", Item)
    requirements = requirements_file.entries("requirements", Requirement)
    standards = Standards(
        items=items_file.by_id("items", items),
        registers=registers,
        clauses=_unique_clauses(registers, register_files),
        requirements=requirements_file.by_id("requirements", requirements),
        families=items_file.vocabulary("families"),
        classes=items_file.vocabulary("classes"),
        severities=items_file.vocabulary("severities"),
        sources=requirements_file.vocabulary("sources"),
    )
    _check_vocabulary(standards, items_file, requirements_file)
    _check_items(standards, items_file)
    _check_clauses(standards, register_files)
    _check_requirements(standards, requirements_file)
    return standards


def _load_registers(folder: Path) -> tuple[dict[str, Register], dict[str, LocatedFile]]:
    paths = sorted(folder.glob("*.yml"))
    if not paths:
        raise UsageError(
            says(
                en=f"{folder}: no register of clauses found (*.yml). Restore the folder",
                zh=f"{folder}：未找到条款登记文件（*.yml）。请恢复该目录",
            )
        )
    registers: dict[str, Register] = {}
    files: dict[str, LocatedFile] = {}
    for path in paths:
        file = LocatedFile(path)
        registers[path.stem], files[path.stem] = _load_register(file), file
    prefixes: dict[str, str] = {}
    for name, register in registers.items():
        if register.prefix in prefixes:
            other = prefixes[register.prefix]
            raise files[name].error(
                ("prefix",),
                Text(
                    f"the prefix {register.prefix!r} is used by {other} too",
                    f"前缀 {register.prefix!r} 已用于 {other}",
                ),
                "unique / 唯一",
            )
        prefixes[register.prefix] = name
    return registers, files


def _load_register(file: LocatedFile) -> Register:
    prefix = str(file.data.get("prefix", ""))
    clauses = file.entries("clauses", Clause, register_id=file.path.stem, prefix=prefix)
    if "id" in file.data:
        raise file.error(("id",), Text("id is not written here", "此处不应写 id"), "the name of the file / 文件名")
    try:
        return Register.model_validate({**file.data, "id": file.path.stem, "clauses": tuple(clauses)})
    except ValidationError as error:
        raise file.invalid((), error) from error


def _unique_clauses(registers: Mapping[str, Register], files: Mapping[str, LocatedFile]) -> dict[str, Clause]:
    found: dict[str, Clause] = {}
    for name, register in registers.items():
        found.update(files[name].by_id("clauses", register.clauses))
    return found


def _check_vocabulary(standards: Standards, items_file: LocatedFile, requirements_file: LocatedFile) -> None:
    for key, used in (
        ("families", {item.family for item in standards.items.values()}),
        ("classes", {item.item_class for item in standards.items.values()}),
        ("severities", {item.severity for item in standards.items.values()}),
    ):
        for name in sorted(used - set(getattr(standards, key))):
            position = next(
                number
                for number, item in enumerate(standards.items.values())
                if name in (item.family, item.item_class, item.severity)
            )
            raise items_file.wrong_reference("items", position, key, name, getattr(standards, key))
    for position, requirement in enumerate(standards.requirements.values()):
        if requirement.source not in standards.sources:
            raise requirements_file.wrong_reference(
                "requirements", position, "id", requirement.source, standards.sources
            )


def _check_items(standards: Standards, file: LocatedFile) -> None:
    for position, item in enumerate(standards.items.values()):
        for field, clause_ids in (("clauses", item.clauses), ("level2", item.level2.rules)):
            for clause_id in clause_ids:
                if clause_id not in standards.clauses:
                    raise file.wrong_reference("items", position, field, clause_id, standards.clauses)
        for requirement_id in item.sources:
            if requirement_id not in standards.requirements:
                raise file.wrong_reference("items", position, "sources", requirement_id, standards.requirements)
        for clause_id in item.clauses:
            if item.id not in standards.clauses[clause_id].items:
                raise _one_sided(file, ("items", position, "clauses"), item.id, clause_id)
        for requirement_id in item.sources:
            if item.id not in standards.requirements[requirement_id].items:
                raise _one_sided(file, ("items", position, "sources"), item.id, requirement_id)


def _check_clauses(standards: Standards, files: Mapping[str, LocatedFile]) -> None:
    for register in standards.registers.values():
        file = files[register.id]
        for position, clause in enumerate(register.clauses):
            if clause.assesses is not None and clause.assesses not in standards.clauses:
                raise file.wrong_reference("clauses", position, "assesses", clause.assesses, standards.clauses)
            for item_id in clause.items:
                if item_id not in standards.items:
                    raise file.wrong_reference("clauses", position, "items", item_id, standards.items)
                if clause.id not in standards.items[item_id].clauses:
                    raise _one_sided(file, ("clauses", position, "items"), clause.id, item_id)
            if clause.status == "planned" and not any(standards.items[name].by_machine for name in clause.items):
                raise file.error(
                    ("clauses", position, "status"),
                    Text(
                        "status: no item of the clause can be checked by machine",
                        "status：该条款没有可由机器核查的检查项",
                    ),
                    "manual",
                )


def _check_requirements(standards: Standards, file: LocatedFile) -> None:
    for position, requirement in enumerate(standards.requirements.values()):
        for item_id in requirement.items:
            if item_id not in standards.items:
                raise file.wrong_reference("requirements", position, "items", item_id, standards.items)
            if requirement.id not in standards.items[item_id].sources:
                raise _one_sided(file, ("requirements", position, "items"), requirement.id, item_id)


def _one_sided(file: LocatedFile, where: tuple[str | int, ...], here: str, there: str) -> UsageError:
    what = Text(f"{here} names {there}, which does not name it back", f"{here} 引用 {there}，而后者未引用前者")
    return file.error(where, what, "both sides or neither / 双方互相引用或都不引用")


def _status(
    stored: StoredStatus, served: Collection[str], unserved: Collection[str], *, whole: bool
) -> ClauseStatus:
    if stored == "manual" or not served:
        return stored
    return "automated" if whole and not unserved else "partly_automated"


def _normal(reference: str) -> str:
    narrow = reference.replace("（", "(").replace("）", ")")
    return re.sub(r"[\s()《》]", "", narrow).casefold()


def _lookup(found: Mapping[str, Entry], name: str, what: Text) -> Entry:
    entry = found.get(name.strip()) or found.get(name.strip().upper())
    if entry is not None:
        return entry
    near = get_close_matches(name, list(found), n=3, cutoff=0.5)
    hint_en = f"; did you mean {', '.join(near)}?" if near else "."
    hint_zh = f"；是否指 {'、'.join(near)}？" if near else "。"
    raise UsageError(
        says(
            en=f"unknown {what.en} {name!r}{hint_en} `medsec controls` lists the items, `medsec explain <item>` its clauses",
            zh=f"没有编号为 {name!r} 的{what.zh}{hint_zh}可用 `medsec controls` 查看检查项，`medsec explain <检查项>` 查看条款",
        )
    )
