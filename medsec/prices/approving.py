"""Reading the declared tables of a site's hosts, comparing them with what was approved, and approving what they hold now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from medsec.catalogue.controls import Controls
from medsec.errors import MedsecError, UsageError
from medsec.inventory import Host, Inventory, effective
from medsec.inventory.prices import Approval, ApprovedTable, PriceTable, last
from medsec.judge.ssh import SshTransport
from medsec.judge.transport import Limits
from medsec.probes.price_tables import Held, difference, held
from medsec.text import Text, says

CONTROL = "price_catalogue_unchanged"


@dataclass(frozen=True)
class State:
    """One table now, against what was approved of it last; `told` says how it differs."""

    host: Host
    table: PriceTable
    now: Held | Text
    was: tuple[Approval, ApprovedTable] | None
    told: Text | None

    @property
    def same(self) -> bool:
        return self.was is not None and self.told is None


@dataclass(frozen=True)
class Answer:
    """What one host's tables hold, or why it did not tell."""

    host: Host
    states: Sequence[State] = ()
    problem: MedsecError | None = None


def declaring(hosts: Iterable[Host], names: Sequence[str] = ()) -> list[tuple[Host, list[PriceTable]]]:
    """Return the hosts that declare tables with them; of `names` (`table` or `database.table`) alone if given.

    Raises UsageError where there is none, or a name is no declared table.
    """
    chosen = list(hosts)
    declared = [(host, host.ledger.price_catalogue) for host in chosen if host.ledger.price_catalogue]
    where = ", ".join(host.name for host in chosen[:10])
    if not declared:
        raise UsageError(
            says(
                en=f"the ledger declares no table of prices or catalogues (price_catalogue) on {where}; see docs/prices.md",
                zh=f"台账未在 {where} 登记价表、医保目录表（price_catalogue）；见 docs/prices.zh-CN.md",
            )
        )
    for name in names:
        if not any(_is(table, name) for _, tables in declared for table in tables):
            known = ", ".join(f"{table.database}.{table.table}" for _, tables in declared for table in tables)
            raise UsageError(
                says(
                    en=f"{where}: no declared table {name!r}; declared: {known}; add it to price_catalogue in the ledger",
                    zh=f"{where}：没有登记名为 {name!r} 的表；已登记：{known}；请先补入台账 price_catalogue",
                )
            )
    found = [
        (host, [t for t in tables if not names or any(_is(t, name) for name in names)])
        for host, tables in declared
    ]
    return [(host, tables) for host, tables in found if tables]


def _is(table: PriceTable, name: str) -> bool:
    return name in (table.table, f"{table.database}.{table.table}", table.label)


def compare(
    inventory: Inventory, controls: Controls, work: Sequence[tuple[Host, list[PriceTable]]]
) -> Iterator[Answer]:
    """Yield how the tables of each host differ from what was approved of them; a host that does not answer stops no other."""
    for host, tables in work:
        params = effective(controls[CONTROL], host, inventory.ledger)
        try:
            # All tables may take the whole of their time.
            connection = SshTransport(Limits(connect=10, command=params.seconds * len(tables) + 60)).connect(host)
            try:
                now = held(connection, tables, params.seconds)
            finally:
                connection.close()
        except MedsecError as error:
            yield Answer(host, problem=error)
            continue
        yield Answer(host, [_state(host, table, now[table.key], params.drop_pct) for table in tables])


def _state(host: Host, table: PriceTable, now: Held | Text, drop_pct: int) -> State:
    was = last(host.ledger.price_approvals, table)
    if was is None:
        told = now if isinstance(now, Text) else None
        return State(host, table, now, None, told)
    return State(host, table, now, was, difference(now, was[1], drop_pct))


def approval(states: Sequence[State], change: str, approver: str) -> Approval:
    """Return the approval of what the tables of one host hold now.

    Raises UsageError naming the host and the table where one holds nothing that could be approved.
    """
    tables = []
    for state in states:
        if isinstance(state.now, Text):
            raise UsageError(
                says(
                    en=f"host {state.host.name}: {state.table.label} cannot be approved: {state.now.en}",
                    zh=f"主机 {state.host.name}：{state.table.label} 无法批准：{state.now.zh}",
                )
            )
        about = state.table.model_dump()
        tables.append(ApprovedTable(**about, **vars(state.now)))
    return Approval(
        host=states[0].host.name,
        change=change,
        approver=approver,
        approved=datetime.now(UTC).replace(microsecond=0),
        tables=tables,
    )
