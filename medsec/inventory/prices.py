"""The tables of prices and insurance catalogues (价表目录、医保目录) that the ledger declares, and what of them was approved.

Approvals stand in `prices.yml` beside the inventory, in the order in which they were given; `medsec prices approve` adds one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import AwareDatetime, Field, field_validator, model_validator

from medsec.catalogue.source import Strict, read_yaml, validate
from medsec.errors import UsageError
from medsec.text import says

FILE = "prices.yml"
_PORTS = {"postgresql": 5432, "mariadb": 3306}
_HEAD = "# What was approved of the tables of prices and catalogues; written by `medsec prices approve`, never by hand.\n"


class PriceTable(Strict):
    """A table that holds prices or an insurance catalogue: of which server (by its port), database and name."""

    product: Literal["postgresql", "mariadb"]
    port: int = Field(ge=1, le=65535)
    database: str
    # PostgreSQL's with its schema.
    table: str

    @model_validator(mode="before")
    @classmethod
    def _usual_port(cls, value: Any) -> Any:
        if isinstance(value, dict) and "port" not in value and value.get("product") in _PORTS:
            return {**value, "port": _PORTS[value["product"]]}
        return value

    @field_validator("database", "table")
    @classmethod
    def _is_name(cls, name: str) -> str:
        # `=` would make libpq take a database's name for a connection string.
        if not name.strip() or not name.isprintable() or "=" in name:
            raise ValueError(f"must be a name without control characters and `=`, got {name!r}")
        return name

    @model_validator(mode="after")
    def _has_schema(self) -> PriceTable:
        if self.product == "postgresql" and not all(self.table.partition(".")):
            raise ValueError(f"table: must be schema.table, such as public.price_list, got {self.table!r}")
        return self

    @property
    def key(self) -> tuple[str, int, str, str]:
        """What two entries of the same table have in common."""
        return self.product, self.port, self.database, self.table

    @property
    def label(self) -> str:
        """Return how messages call it."""
        return f"{self.product} {self.port} {self.database}.{self.table}"


class ApprovedTable(PriceTable):
    """What a table held when it was approved, as the manifest of a backup tells it."""

    rows: int = Field(ge=0)
    hash: str = Field(pattern=r"^-?[0-9]+$")
    # A hash of its columns, triggers, rules and the like.
    definition: str = Field(pattern=r"^-?[0-9a-f]+$")
    # The server's own number for it, by which a copy put in its place is known. Without it, such a copy is not noticed.
    identity: str | None = None


class Approval(Strict):
    """What somebody approved of a host's tables, and by which change record (变更单)."""

    host: str
    change: str
    approver: str
    approved: AwareDatetime
    tables: list[ApprovedTable] = Field(min_length=1)

    @field_validator("host", "change", "approver")
    @classmethod
    def _written(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("must not be empty")
        return value


def require_distinct(tables: Iterable[PriceTable]) -> None:
    """Raise ValueError where a table is declared twice."""
    seen: set[tuple[str, int, str, str]] = set()
    for table in tables:
        if table.key in seen:
            raise ValueError(f"{table.label} is declared twice; keep one of them")
        seen.add(table.key)


def last(approvals: Iterable[Approval], table: PriceTable) -> tuple[Approval, ApprovedTable] | None:
    """Return what was approved last of `table`, of two in the same second the one behind; None where nothing was."""
    found = [(approval, one) for approval in approvals for one in approval.tables if one.key == table.key]
    return max(reversed(found), key=lambda pair: pair[0].approved, default=None)


def load_approvals(folder: Path, hosts: Collection[str]) -> list[Approval]:
    """Return the approvals in the inventory's folder (none where the file does not exist).

    Raises UsageError naming the file, the entry, the value met and what is accepted.
    """
    path = folder / FILE
    if not path.exists():
        return []
    value = read_yaml(path)
    if not isinstance(value, list | None):
        raise UsageError(
            says(
                en=f"{path}: must be a list of approvals, got {type(value).__name__}; `medsec prices approve` writes it",
                zh=f"{path}：应为批准记录列表，实际为 {type(value).__name__}；该文件由 `medsec prices approve` 写入",
            )
        )
    found = []
    for number, entry in enumerate(value or [], start=1):
        approval = validate(Approval, entry, f"{path}: approval {number}")
        if approval.host not in hosts:
            known = ", ".join(list(hosts)[:20])
            raise UsageError(
                says(
                    en=f"{path}: approval {number}: unknown host {approval.host!r}; hosts: {known}; "
                    "strike the approval with its host, or correct the name",
                    zh=f"{path}：第 {number} 条批准记录：没有主机 {approval.host!r}；已有主机：{known}；"
                    "请随主机一并删除该记录，或更正名称",
                )
            )
        found.append(approval)
    return found


def add_approvals(folder: Path, approvals: Sequence[Approval]) -> Path:
    """Write `approvals` at the end of the file, whole or not at all, and return its path. Raises UsageError where it cannot be written."""
    path = folder / FILE
    entries = [approval.model_dump(mode="json") for approval in approvals]
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else _HEAD
        if not before.endswith("\n"):
            before += "\n"
        new = path.with_suffix(".new")
        added = yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=1000)
        new.write_text(before + added, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise UsageError(
            says(en=f"{path} cannot be written: {error.strerror}", zh=f"无法写入 {path}：{error.strerror}")
        ) from error
    return path
