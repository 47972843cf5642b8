"""`medsec trial`: prove a control on lab hosts."""

from __future__ import annotations

from collections.abc import Iterator

import click

from medsec.lab import Lab
from medsec.text import Language, in_language, says
from medsec.trials.cases import ENGINES, Case, Leg, cases
from medsec.trials.trial import run
from medsec_cli.language import Say
from medsec_cli.options import chosen_controls

BATCH = 12


def commands(say: Say, language: Language) -> Iterator[click.Command]:
    """Yield the command `trial`."""

    @click.command(
        "trial",
        help=say(
            says(
                en="Try controls on fresh lab hosts: violated, failed, remedied, passed, nothing else touched.",
                zh="在实验环境的全新主机上试验控制项：布置违规、判为不符合、整改、判为符合、未改动其他内容。",
            )
        ),
    )
    @click.argument("control_ids", nargs=-1, metavar="CONTROL...", required=True)
    @click.option(
        "--engine", "engines", multiple=True, type=click.Choice(ENGINES), default=ENGINES, show_default=True
    )
    @click.option("--scenario", metavar="NAME", help=say(says(en="Only this scenario.", zh="只试验该场景。")))
    @click.option("--index", type=click.IntRange(0, 31), default=1, show_default=True)
    def trial(control_ids: tuple[str, ...], engines: tuple[str, ...], scenario: str | None, index: int) -> int:
        catalogue, controls = chosen_controls(control_ids, (), ())
        todo = cases(controls, engines, scenario)
        if not todo:
            names = ", ".join(s.name for c in controls for s in (*c.violations, *c.compliances))
            raise click.UsageError(
                say(
                    says(
                        en=f"no scenario {scenario!r}; known: {names}", zh=f"没有场景 {scenario!r}；现有：{names}"
                    )
                )
            )

        def tell(case: Case, leg: Leg) -> None:
            word = says(en="ok", zh="通过") if leg.passed else says(en="FAILED", zh="未通过")
            click.echo(f"{case.name}: {in_language(leg.name, language)}: {say(word)} {leg.detail}".rstrip())

        lab = Lab("trial", index)
        try:
            outcomes = [
                o
                for start in range(0, len(todo), BATCH)
                for o in run(lab, catalogue, todo[start : start + BATCH], tell)
            ]
        finally:
            lab.down()
        good = sum(outcome.passed for outcome in outcomes)
        click.echo(
            say(
                says(
                    en=f"{good} of {len(outcomes)} trials passed", zh=f"共 {len(outcomes)} 次试验，通过 {good} 次"
                )
            )
        )
        return 0 if good == len(outcomes) else 1

    yield trial
