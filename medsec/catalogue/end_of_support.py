"""Until when makers of databases mend their series: the table that medsec brings, under the dates that a site enters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from medsec.catalogue.source import Strict, read_yaml, validate

SERIES = r"^[0-9]+(\.[0-9]+)*$"


class _Series(Strict):
    series: str = Field(pattern=SERIES)
    until: date
    seen: Literal["register", "memory"]


class _Product(Strict):
    name: str
    source: str
    series: list[_Series] = Field(min_length=1)


class _Table(Strict):
    as_of: date
    products: dict[str, _Product] = Field(min_length=1)


class _Entered(Strict):
    """A site's own line."""

    product: str = Field(min_length=1)
    series: str = Field(pattern=SERIES)
    until: date
    source: str = Field(min_length=1)


@dataclass(frozen=True)
class Support:
    """The last day on which a series is mended, and who says so; `own` where the site entered it."""

    series: str
    until: date
    source: str
    own: bool = False
    from_memory: bool = False


@dataclass(frozen=True)
class SupportTable:
    """The lines by product; `as_of` is the day on which the bundled ones were last gone through."""

    as_of: date
    names: Mapping[str, str]
    lines: Mapping[str, tuple[Support, ...]]

    def name(self, product: str) -> str:
        """Return how messages call the product."""
        return self.names.get(product, product)

    def of(self, product: str, version: str) -> Support | None:
        """Return the line of the series that `version` belongs to (the longest that fits), or None where there is none."""
        fitting = [line for line in self.lines.get(product, ()) if f"{version}.".startswith(f"{line.series}.")]
        return max(fitting, key=lambda line: len(line.series.split(".")), default=None)

    def supported(self, product: str, today: date) -> list[Support]:
        """Return the lines of the product that still hold on `today`, the one that holds longest last."""
        return sorted(
            (line for line in self.lines.get(product, ()) if line.until >= today), key=lambda line: line.until
        )


def load_support_table(path: Path, entered: Iterable[Mapping[str, Any]] = (), where: str = "") -> SupportTable:
    """Return the table in the file `path`, with the lines that a site `entered` in place of its own.

    + where: the variable in which they were entered, for messages

    Raises UsageError for a line that is incomplete.
    """
    table = validate(_Table, read_yaml(path), str(path))
    lines: dict[str, dict[str, Support]] = {
        product: {
            line.series: Support(line.series, line.until, known.source, from_memory=line.seen == "memory")
            for line in known.series
        }
        for product, known in table.products.items()
    }
    for entry in entered:
        own = validate(_Entered, dict(entry), where)
        lines.setdefault(own.product, {})[own.series] = Support(own.series, own.until, own.source, own=True)
    names = {product: known.name for product, known in table.products.items()}
    return SupportTable(table.as_of, names, {product: tuple(found.values()) for product, found in lines.items()})
