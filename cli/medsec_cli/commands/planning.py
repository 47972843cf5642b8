"""`medsec plan`: what an apply would change, and that it changes nothing itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from medsec.engines.base import EngineName
from medsec.engines.foreseen import Foreseen
from medsec.engines.plan_file import write_plan
from medsec.errors import UsageError
from medsec.text import Language, Text, says
from medsec_cli.language import Say
from medsec_cli.plan_text import plan_text
from medsec_cli.remedies import INCOMPLETE, ChosenWork, failures, kept, look_ahead, remedy_options


def commands(say: Say, language: Language) -> Iterator[click.Command]:
    """Yield the command `plan`."""

    @click.command("plan", help=say(says(en="Show what apply would change.", zh="预览整改将作的改动。")))
    @remedy_options(say)
    @click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help=say(says(en="Keep the plan, to be approved and applied just so.", zh="保存计划，供审批后照此执行。")),
    )
    def plan_(engine_name: EngineName, output: Path | None, **given: Any) -> int:
        work = ChosenWork(given, say, language)
        done, folded = look_ahead(work, engine_name)
        names = [host.name for host in work.hosts]
        if output is not None:
            if folded.unplanned:
                raise UsageError(_unplanned(folded))
            write_plan(output, kept(work, folded, engine_name))
        for line in plan_text(folded, language):
            click.echo(line)
        click.echo(say(_sum(folded, engine_name, names)))
        failed = failures(done.result, say, language) if done.result is not None else 0
        return INCOMPLETE if folded.unplanned else failed

    yield plan_


def _unplanned(plan: Foreseen) -> Text:
    return says(
        en=f"no plan was written: {', '.join(plan.unplanned)} cannot be foreseen; leave them out by --limit, or mend the cause",
        zh=f"未写出计划：{'、'.join(plan.unplanned)} 无法预览；请用 --limit 排除，或先排除故障",
    )


def _sum(plan: Foreseen, engine_name: str, hosts: list[str]) -> Text:
    if not plan.controls and not plan.unplanned:
        return says(en="Nothing to change.", zh="无需改动。")
    known = len(hosts) - len(plan.unplanned)
    return says(
        en=f"Plan by {engine_name}: {plan.changes} changes, {plan.unknown} known only after apply, "
        f"on {known} of {len(hosts)} hosts. Nothing was changed. Next: medsec apply --engine {engine_name}",
        zh=f"计划（{engine_name}）：{plan.changes} 项变更，{plan.unknown} 项执行后才知道，"
        f"涉及 {known}/{len(hosts)} 台主机。尚未作任何改动。下一步：medsec apply --engine {engine_name}",
    )
