"""`medsec plan` and `medsec apply`: what would change, and changing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from medsec.catalogue.controls import Control, Controls
from medsec.engines.base import EngineResult, Event, Status, engine
from medsec.engines.planning import Selection, apply, plan
from medsec.evidence.conclusion import conclude
from medsec.evidence.findings import Finding
from medsec.evidence.reading import Run
from medsec.inventory import Host
from medsec.inventory.waivers import load_waivers
from medsec.judge.ssh import SshTransport
from medsec.judge.transport import Limits
from medsec.text import Language, in_language, says
from medsec_cli.commands.judging import judged
from medsec_cli.language import Say
from medsec_cli.options import chosen_controls, control_options, site, site_options
from medsec_cli.output import FORMATS
from medsec_cli.progress import Progress, progress

ENGINES = ("ansible", "pyinfra")
INCOMPLETE = 3


def commands(say: Say, language: Language) -> Iterator[click.Command]:
    """Yield the commands `plan` and `apply`."""

    def shared(command: Any) -> Any:
        for option in (
            click.option("--forks", type=click.IntRange(1, 500), default=10, show_default=True),
            click.option(
                "--all",
                "every",
                is_flag=True,
                help=say(says(en="Run also the remedies of what passes.", zh="对已符合的控制项也执行整改。")),
            ),
            click.option(
                "--engine", "engine_name", type=click.Choice(ENGINES), default="ansible", show_default=True
            ),
            control_options(say),
            site_options(say),
        ):
            command = option(command)
        return command

    @click.command("plan", help=say(says(en="Show what apply would change.", zh="预览整改将作的改动。")))
    @shared
    def plan_(engine_name: str, **given: Any) -> int:
        work = _Work(given, say, language)
        with progress(0) as shown:
            done = plan(work.selection, engine(engine_name), judge=work.judge, on_event=work.listener(shown))
        for line in work.told:
            click.echo(line)
        _by_hand(done.by_hand, say, language)
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
        return _failures(done.result, say, language)

    @click.command(
        "apply",
        help=say(
            says(
                en="Judge, change what does not pass, judge again.",
                zh="先核查，只整改不符合项，再复核。",
            )
        ),
    )
    @shared
    @click.option("--yes", is_flag=True, help=say(says(en="Do not ask.", zh="不再询问。")))
    def apply_(engine_name: str, yes: bool, **given: Any) -> int:
        work = _Work(given, say, language)
        if not yes:
            names = ", ".join(host.name for host in work.hosts[:10])
            question = says(
                en=f"Change {len(work.hosts)} hosts ({names})? Controls that may lock people out are among them",
                zh=f"将整改 {len(work.hosts)} 台主机（{names}），其中包含可能影响登录的控制项，是否继续",
            )
            click.confirm(say(question), abort=True)
        with progress(0) as shown:
            done = apply(work.selection, engine(engine_name), judge=work.judge, on_event=work.listener(shown))
        for line in work.told:
            click.echo(line)
        _by_hand(done.by_hand, say, language)
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
        failed = _failures(done.result, say, language) if done.result else 0
        whole = conclude(done.after, planned=len(work.hosts) * len(work.selection.controls))
        return max(failed, whole.exit_code)

    yield from (plan_, apply_)


class _Work:
    """What the options select, and what was told and judged on the way."""

    def __init__(self, given: dict[str, Any], say: Say, language: Language) -> None:
        self.say, self.language = say, language
        self.catalogue, controls = chosen_controls(given["controls"], given["items"], given["tags"])
        self.inventory, self.hosts = site(given["inventory"], given["limit"])
        self.forks = given["forks"]
        self.waivers = load_waivers(self.inventory, self.catalogue)
        self.selection = Selection(
            self.inventory,
            self.hosts,
            Controls({control.id: control for control in controls}),
            every=given["every"],
            forks=self.forks,
        )
        self.runs: list[Run] = []
        self.told: list[str] = []

    def judge(self, hosts: Sequence[Host], controls: Sequence[Control]) -> list[Finding]:
        """Judge and keep the run; the last one is what is shown."""
        limits = Limits()
        run = judged(
            self.inventory,
            hosts,
            controls,
            transport=SshTransport(limits),
            forks=self.forks,
            waivers=self.waivers,
            limits=limits,
        )
        self.runs.append(run)
        return run.findings

    def listener(self, shown: Progress) -> Callable[[Event], None]:
        """Return what hears the engine: progress now, and the lines worth reading afterwards."""
        words = {
            Status.CHANGED: says(en="change", zh="变更"),
            Status.UNKNOWN: says(en="known only after apply", zh="执行后才知道"),
            Status.FAILED: says(en="FAILED", zh="失败"),
            Status.UNREACHABLE: says(en="UNREACHABLE", zh="不可达"),
        }

        def hear(event: Event) -> None:
            shown.show(f"{event.host} {event.control or ''} {event.task}", step=0)
            if event.status not in words:
                return
            message = "" if event.message is None else f": {in_language(event.message, self.language)}"
            line = f"{event.host}\t{event.control or '-'}\t{self.say(words[event.status])}\t{event.task}{message}"
            self.told.append(line)
            if event.diff:
                self.told += ["    " + part for part in event.diff.splitlines()]

        return hear


def _by_hand(findings: Sequence[Finding], say: Say, language: Language) -> None:
    for finding in findings:
        word = say(says(en="by hand", zh="须人工处理"))
        click.echo(f"{finding.host}\t{finding.control}\t{word}\t{in_language(finding.text, language)}")


def _failures(result: EngineResult, say: Say, language: Language) -> int:
    unfinished = {pair for pair, outcome in result.outcomes.items() if not outcome.finished or outcome.failed}
    if not unfinished:
        return 0
    hosts = ", ".join(sorted({host for host, _ in unfinished}))
    click.echo(
        say(
            says(
                en=f"{len(unfinished)} remedies did not run to their end, on {hosts}; mend the cause and apply again",
                zh=f"{len(unfinished)} 项整改未完成（{hosts}）；请排除原因后重新执行",
            )
        ),
        err=True,
    )
    return INCOMPLETE
