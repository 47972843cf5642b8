"""What `medsec plan` and `medsec apply` share: their options, their work, and what is left for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from medsec.catalogue.controls import Control, Controls
from medsec.engines.base import EngineName, EngineResult, Event, Status
from medsec.engines.foreseen import Foreseen, foreseen
from medsec.engines.plan_file import PlanFile, plan_file
from medsec.engines.planning import Planned, Selection, plan
from medsec.engines.registry import engine
from medsec.evidence.digest import catalogue_digest
from medsec.evidence.findings import Finding
from medsec.evidence.reading import Run
from medsec.inventory import Host
from medsec.inventory.waivers import load_waivers
from medsec.judge.ssh import SshTransport
from medsec.judge.transport import Limits
from medsec.resources import root
from medsec.text import Language, in_language, says
from medsec_cli.commands.judging import judged
from medsec_cli.language import Say
from medsec_cli.options import chosen_controls, control_options, site, site_options
from medsec_cli.progress import Progress, progress

ENGINES = ("ansible", "pyinfra")
INCOMPLETE = 3


def remedy_options(say: Say) -> Callable[[Any], Any]:
    """Add the options that say which remedies are meant, on which hosts, by which engine."""

    def decorate(command: Any) -> Any:
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

    return decorate


class ChosenWork:
    """What the options select, and what was told and judged on the way."""

    def __init__(self, given: dict[str, Any], say: Say, language: Language) -> None:
        self.say, self.language = say, language
        self.catalogue, controls = chosen_controls(given["controls"], given["items"], given["tags"])
        self.inventory, self.hosts = site(given["inventory"], given["limit"], self.catalogue)
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


def look_ahead(work: ChosenWork, engine_name: EngineName) -> tuple[Planned, Foreseen]:
    """Plan `work` with live progress; return what is foreseen, plainly and folded."""
    events: list[Event] = []
    with progress(0) as shown:

        def hear(event: Event) -> None:
            shown.show(f"{event.host} {event.control or ''} {event.task}")
            events.append(event)

        done = plan(work.selection, engine(engine_name), judge=work.judge, on_event=hear)
    names = [host.name for host in work.hosts]
    return done, foreseen(done, events, names, work.selection.controls)


def kept(work: ChosenWork, folded: Foreseen, engine_name: EngineName) -> PlanFile:
    """Return the plan of `work` as a file keeps it."""
    return plan_file(
        folded,
        engine=engine_name,
        every=work.selection.every,
        hosts=[host.name for host in work.hosts],
        controls=list(work.selection.controls),
        catalogue=catalogue_digest(root()),
    )


def by_hand(findings: Sequence[Finding], say: Say, language: Language) -> None:
    for finding in findings:
        word = say(says(en="by hand", zh="须人工处理"))
        click.echo(f"{finding.host}\t{finding.control}\t{word}\t{in_language(finding.text, language)}")


def failures(result: EngineResult, say: Say, language: Language) -> int:
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
