"""`medsec plan`: what an apply would change, and that it changes nothing itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from medsec.engines.base import Event, engine
from medsec.engines.foreseen import Foreseen, foreseen
from medsec.engines.planning import plan
from medsec.text import Language, Text, says
from medsec_cli.language import Say
from medsec_cli.plan_text import plan_text
from medsec_cli.progress import progress
from medsec_cli.remedies import INCOMPLETE, ChosenWork, failures, remedy_options


def commands(say: Say, language: Language) -> Iterator[click.Command]:
    """Yield the command `plan`."""

    @click.command("plan", help=say(says(en="Show what apply would change.", zh="预览整改将作的改动。")))
    @remedy_options(say)
    def plan_(engine_name: str, **given: Any) -> int:
        work = ChosenWork(given, say, language)
        events: list[Event] = []
        with progress(0) as shown:

            def hear(event: Event) -> None:
                shown.show(f"{event.host} {event.control or ''} {event.task}")
                events.append(event)

            done = plan(work.selection, engine(engine_name), judge=work.judge, on_event=hear)
        names = [host.name for host in work.hosts]
        folded = foreseen(done, events, names, work.selection.controls)
        for line in plan_text(folded, language):
            click.echo(line)
        click.echo(say(_sum(folded, engine_name, names)))
        failed = failures(done.result, say, language) if done.result is not None else 0
        return INCOMPLETE if folded.unplanned else failed

    yield plan_


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
