"""`medsec apply`: changing what does not pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from medsec.engines.base import engine
from medsec.engines.planning import apply
from medsec.evidence.conclusion import conclude
from medsec.guard.guarding import HostGuard
from medsec.text import Language, says
from medsec_cli.language import Say
from medsec_cli.output import FORMATS
from medsec_cli.progress import progress
from medsec_cli.remedies import ChosenWork, by_hand, failures, remedy_options


def commands(say: Say, language: Language) -> Iterator[click.Command]:
    """Yield the command `apply`."""

    @click.command(
        "apply",
        help=say(
            says(
                en="Judge, change what does not pass, judge again.",
                zh="先核查，只整改不符合项，再复核。",
            )
        ),
    )
    @remedy_options(say)
    @click.option("--yes", is_flag=True, help=say(says(en="Do not ask.", zh="不再询问。")))
    def apply_(engine_name: str, yes: bool, **given: Any) -> int:
        work = ChosenWork(given, say, language)
        if not yes:
            names = ", ".join(host.name for host in work.hosts[:10])
            question = says(
                en=f"Change {len(work.hosts)} hosts ({names})? Controls that may lock people out are among them",
                zh=f"将整改 {len(work.hosts)} 台主机（{names}），其中包含可能影响登录的控制项，是否继续",
            )
            click.confirm(say(question), abort=True)
        guard = HostGuard(work.inventory, lambda: work.runs[0].path, engine_name, work.forks)
        with progress(0) as shown:
            done = apply(
                work.selection, engine(engine_name), judge=work.judge, on_event=work.listener(shown), guard=guard
            )
        for line in work.told:
            click.echo(line)
        by_hand(done.by_hand, say, language)
        changed = done.result.changed if done.result else 0
        click.echo(
            say(
                says(
                    en=f"{engine_name}: {changed} changes. The verification after it:",
                    zh=f"{engine_name}：共 {changed} 项变更。复核结果：",
                )
            )
        )
        run = work.runs[-1]
        click.echo(FORMATS["text"](run, language).rstrip("\n"))
        failed = failures(done.result, say, language) if done.result else 0
        whole = conclude(done.after, planned=len(work.hosts) * len(work.selection.controls))
        return max(failed, whole.exit_code)

    yield apply_
