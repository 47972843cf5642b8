"""`medsec prices`: what the tables of prices and catalogues hold, against what was approved of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from medsec.catalogue.controls import load_controls
from medsec.columns import table
from medsec.errors import UsageError
from medsec.inventory import Inventory, load_inventory
from medsec.inventory.prices import Approval, add_approvals, last
from medsec.prices.approving import Answer, State, approval, compare, declaring
from medsec.probes.price_tables import Held
from medsec.resources import root
from medsec.text import Language, Text, says
from medsec_cli.language import Say
from medsec_cli.options import site_options

DIFFERENT, INCOMPLETE = 1, 3
_NEVER = says(en="never approved", zh="从未批准")
_HEADS = (
    says(en="host", zh="主机"),
    says(en="table", zh="数据表"),
    says(en="rows", zh="行数"),
    says(en="approved", zh="批准时间"),
    says(en="approved by", zh="批准人"),
    says(en="change record", zh="变更单号"),
)


def commands(say: Say, language: Language) -> Iterator[click.Command]:
    """Yield the command `prices`."""

    @click.group(
        "prices",
        help=say(
            says(
                en="Tables of prices and catalogues: approve and compare them.", zh="价表与医保目录：批准与比对。"
            )
        ),
    )
    def prices() -> None:
        """Hold what is done with tables of prices."""

    options = _options(say)

    @prices.command(
        "show",
        help=say(
            says(en="What was approved last of each declared table.", zh="列出登记的各表最近一次批准的内容。")
        ),
    )
    @options
    @_form(say)
    def show(form: str, **given: Any) -> None:
        _, work = _work(given)
        found = [(host, one, last(host.ledger.price_approvals, one)) for host, tables in work for one in tables]
        if form == "json":
            _json(
                [
                    {
                        "host": host.name,
                        "table": one.model_dump(),
                        "approved": _value(was[0], was[1].rows) if was else None,
                    }
                    for host, one, was in found
                ]
            )
            return
        rows = [
            [host.name, one.label, *_row(was[0], was[1].rows)]
            if was
            else [host.name, one.label, "-", say(_NEVER), "-", "-"]
            for host, one, was in found
        ]
        click.echo(table([say(head) for head in _HEADS], rows))

    @prices.command(
        "diff",
        help=say(
            says(
                en="How the tables differ now from what was approved; exit code 1 where one does.",
                zh="比对各表现状与批准内容；有差异时退出码为 1。",
            )
        ),
    )
    @options
    @_form(say)
    def diff(form: str, **given: Any) -> int:
        inventory, work = _work(given)
        answers = list(compare(inventory, load_controls(root() / "roles"), work))
        states = [state for answer in answers for state in answer.states]
        if form == "json":
            _json([_state_value(state) for state in states])
        else:
            _told(states, say)
        if _problems(answers, language):
            return INCOMPLETE
        return DIFFERENT if any(not state.same for state in states) else 0

    @prices.command(
        "approve",
        help=say(
            says(
                en="Take what the tables hold now as approved, by a change record.",
                zh="依据变更单，把各表的当前内容登记为已批准。",
            )
        ),
    )
    @options
    @click.option(
        "--change",
        required=True,
        metavar="NUMBER",
        help=say(says(en="Number of the change record.", zh="变更单号。")),
    )
    @click.option(
        "--approver", required=True, metavar="NAME", help=say(says(en="Who approved it.", zh="批准人。"))
    )
    def approve(change: str, approver: str, **given: Any) -> int:
        for option, value in (("--change", change), ("--approver", approver)):
            if not value.strip():
                raise UsageError(
                    says(
                        en=f"{option} must not be empty, got {value!r}", zh=f"{option} 不能为空，实际为 {value!r}"
                    )
                )
        inventory, work = _work(given)
        answers = list(compare(inventory, load_controls(root() / "roles"), work))
        # Whole or not at all: half a change is not what somebody approved.
        if _problems(answers, language):
            return INCOMPLETE
        made = [approval(answer.states, change, approver) for answer in answers]
        _told([state for answer in answers for state in answer.states], say)
        path = add_approvals(inventory.path, made)
        click.echo(
            say(
                says(
                    en=f"Approved, in {path}; keep it with the ledger.",
                    zh=f"已登记批准：{path}，请与台账一并保存。",
                )
            )
        )
        return 0

    yield prices


def _options(say: Say) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        command = click.option(
            "--table",
            "tables",
            multiple=True,
            metavar="TABLE",
            help=say(says(en="A declared table; all of them by default.", zh="登记的表；默认为全部。")),
        )(command)
        return site_options(say)(command)

    return decorate


def _form(say: Say) -> Callable[[Any], Any]:
    return click.option(
        "-f",
        "--format",
        "form",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help=say(says(en="Form of the answer.", zh="输出格式。")),
    )


def _work(given: dict[str, Any]) -> tuple[Inventory, Any]:
    inventory_path: Path = given["inventory"]
    found = load_inventory(inventory_path)
    return found, declaring(found.limit(given["limit"]), given["tables"])


def _row(approved: Approval, rows: int) -> list[str]:
    time = approved.approved.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return [str(rows), time, approved.approver, approved.change]


def _value(approved: Approval, rows: int) -> dict[str, Any]:
    return {
        "change": approved.change,
        "approver": approved.approver,
        "approved": approved.approved.isoformat(),
        "rows": rows,
    }


def _state_value(state: State) -> dict[str, Any]:
    return {
        "host": state.host.name,
        "table": state.table.model_dump(),
        "rows": state.now.rows if isinstance(state.now, Held) else None,
        "approved": _value(state.was[0], state.was[1].rows) if state.was else None,
        "same": state.same,
        "difference": {"zh": state.told.zh, "en": state.told.en} if state.told else None,
    }


def _told(states: list[State], say: Say) -> None:
    for state in states:
        click.echo(f"{state.host.name}\t{state.table.label}\t{say(_word(state))}")


def _word(state: State) -> Text:
    if state.told is not None:
        return state.told
    rows = state.now.rows if isinstance(state.now, Held) else 0
    if state.was is None:
        return says(en=f"{rows} rows, never approved", zh=f"{rows} 行，从未批准")
    return says(en=f"{rows} rows, as approved", zh=f"{rows} 行，与批准内容一致")


def _problems(answers: list[Answer], language: Language) -> bool:
    for answer in answers:
        if answer.problem is not None:
            click.echo(f"medsec: {answer.host.name}: {answer.problem.in_language(language)}", err=True)
    return any(answer.problem is not None for answer in answers)


def _json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=1))
