"""The packs as they are written: `roles/database/statements/<product>.yml`, one file a product."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from medsec.catalogue.controls import Parameter
from medsec.catalogue.source import Bilingual, Strict, read_yaml, validate
from medsec.errors import UsageError
from medsec.text import says

Item = Literal["DB-01", "DB-02", "DB-03", "DB-04"]
# `seen`: the statement was read in a source; `memory`: to be compared with the vendor's manual first.
Source = Literal["seen", "memory"]
Restart = Literal["none", "service"]
Dialect = Literal["oracle", "tsql", "mysql", "postgres", "dm"]
# What a part may need: without it the part is left out of the script, which says so.
Need = Literal["administrators", "clients", "only_client"]

HOME = Path("roles/database/statements")
_PARAMETERS = "parameters.yml"


class PackParameter(Parameter):
    """A value that all packs share."""

    # The variable of another database's control that holds the same rule, used where the pack's own is not set.
    also: str | None = None


class Part(Strict):
    """What every part of a pack says of itself."""

    id: str = Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$")
    item: Item
    source: Source
    needs: list[Need] = Field(default_factory=list)


class Change(Part):
    """What every change says: why it is made, and what people at work notice."""

    title: Bilingual
    why: Bilingual
    effect: Bilingual
    restart: Restart


class Statement(Change):
    """A hardening statement with what undoes it, as Jinja2 templates."""

    # A query whose answer is kept beforehand, where what was there cannot be known.
    before: str | None = None
    do: str = Field(min_length=1)
    undo: str = Field(min_length=1)


class FilePart(Change):
    """Lines for one of the product's own files, which no statement can set."""

    path: str
    do: str = Field(min_length=1)
    undo: Bilingual


class Query(Part):
    """A question of the check plan: it returns no row where the claim holds."""

    claim: Bilingual
    query: str = Field(min_length=1)


class Pack(Strict):
    """All that medsec knows of one product."""

    title: Bilingual
    # The product as the ledger's `runs` names it, and its registered listeners.
    runs: str
    dialect: Dialect
    processes: list[str] = Field(min_length=1)
    ports: list[int] = Field(min_length=1)
    client: Bilingual
    # Lines for the client program, not for the server.
    prologue: list[str] = Field(default_factory=list)
    # The line after each part, where the client needs one.
    batch: str | None = None
    statements: list[Statement] = Field(min_length=1)
    files: list[FilePart] = Field(default_factory=list)
    queries: list[Query] = Field(min_length=1)
    # Parts that are the same as another product's, by its name: they come after this one's own.
    same_as: dict[str, list[str]] = Field(default_factory=dict)
    # Filled by the loader.
    product: str
    parameters: dict[str, PackParameter]

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Pack:
        seen: set[str] = set()
        for part in chain(self.statements, self.files, self.queries):
            if part.id in seen:
                raise ValueError(f"the id {part.id!r} is used twice")
            seen.add(part.id)
        return self


def load_packs(root: Path) -> dict[str, Pack]:
    """Return every pack below `root` (the folder that holds `roles/`) by its product.

    Raises UsageError for a file that is incomplete or misspelt.
    """
    home = root / HOME
    shared = home / _PARAMETERS
    parameters = {
        name: validate(PackParameter, value, f"{shared}: {name}") for name, value in read_yaml(shared).items()
    }
    paths = {path.stem: path for path in sorted(home.glob("*.yml")) if path.name != _PARAMETERS}
    packs: dict[str, Pack] = {}
    for product, path in paths.items():
        value = read_yaml(path) | {"product": product, "parameters": parameters}
        for other, ids in value.get("same_as", {}).items():
            _take(value, read_yaml(home / f"{other}.yml"), ids, path)
        packs[product] = validate(Pack, value, str(path))
    return packs


def _take(value: dict[str, Any], other: dict[str, Any], ids: list[str], path: Path) -> None:
    left = set(ids)
    for kind in ("statements", "files", "queries"):
        taken = [part for part in other.get(kind, []) if part["id"] in ids]
        value[kind] = [*value.get(kind, []), *taken]
        left -= {part["id"] for part in taken}
    if left:
        names = ", ".join(sorted(left))
        raise UsageError(
            says(en=f"{path}: same_as: no such part: {names}", zh=f"{path}：same_as 中没有此项：{names}")
        )


def load_pack(root: Path, product: str) -> Pack:
    """Return the pack of `product`; raises UsageError naming the products that there are."""
    packs = load_packs(root)
    if product in packs:
        return packs[product]
    known = list(packs)
    raise UsageError(
        says(
            en=f"no statements are known for {product!r}; products: {', '.join(known)}",
            zh=f"没有产品 {product!r} 的语句；可用产品：{'、'.join(known)}",
        )
    )
