"""`medsec plan`: what an apply would change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import click

from medsec.engines.base import engine
from medsec.engines.planning import plan
from medsec.text import Language, says
from medsec_cli.language import Say
from medsec_cli.progress import progress
from medsec_cli.remedies import ChosenWork, by_hand, failures, remedy_options


def commands(say: Say, language: Language) -> Iterator[click.Command]:
    """Yield the command `plan`."""

    @click.command("plan", help=say(says(en="Show what apply would change.", zh="预览整改将作的改动。")))
    @remedy_options(say)
    def plan_(engine_name: str, **given: Any) -> int:
        work = ChosenWork(given, say, language)
        with progress(0) as shown:
            done = plan(work.selection, engine(engine_name), judge=work.judge, on_event=work.listener(shown))
        for line in work.told:
            click.echo(line)
        by_hand(done.by_hand, say, language)
        if done.result is None:
            click.echo(say(says(en="Nothing to change.", zh="无需改动。")))
            return 0
        counts = Counter[str]()
        for outcome in done.result.outcomes.values():
            counts["changed"] += outcome.changed
            counts["unknown"] += outcome.unknown
        click.echo(
            say(
                says(
                    en=f"Plan: {counts['changed']} changes, {counts['unknown']} known only after apply, "
                    f"on {len(work.hosts)} hosts. Next: medsec apply",
                    zh=f"计划：{counts['changed']} 项变更，{counts['unknown']} 项执行后才知道，"
                    f"共 {len(work.hosts)} 台主机。下一步：medsec apply",
                )
            )
        )
        return failures(done.result, say, language)

    yield plan_
