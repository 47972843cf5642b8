"""A plan on the screen, as it is read out where a change is approved: what, where, why, and what people will notice."""

from __future__ import annotations

from collections.abc import Iterator

import click

from medsec.columns import aligned
from medsec.engines.base import Status
from medsec.engines.foreseen import ControlPlan, Foreseen, Step
from medsec.reports.folding import named
from medsec.reports.words import RISKS, SEVERITIES
from medsec.text import Language, Text, in_language, says

# Host names shown before "and others"; the table at the end of a plan names every host.
_HOSTS = 12
_STATUSES = {
    Status.CHANGED: says(en="change", zh="变更"),
    Status.UNKNOWN: says(en="known only after apply", zh="执行后才知道"),
    Status.FAILED: says(en="CANNOT BE FORESEEN", zh="无法预览"),
}
_COLOURS = {Status.CHANGED: "green", Status.UNKNOWN: "yellow", Status.FAILED: "red"}


def plan_text(plan: Foreseen, language: Language) -> Iterator[str]:
    """Yield the lines of `plan`.

    Lines hold colours beside words, never in place of them; `click.echo` takes them away where there is no terminal.
    """
    yield from _Lines(language).of(plan)


class _Lines:
    def __init__(self, language: Language) -> None:
        self.language = language

    def of(self, plan: Foreseen) -> Iterator[str]:
        for control in plan.controls:
            yield from self._control(control)
            yield ""
        yield from self._by_hand(plan)
        yield from self._waived(plan)
        yield from self._not_selected(plan)
        yield from self._unplanned(plan)
        if plan.hosts:
            yield from self._hosts(plan)
            yield ""

    def _say(self, *, en: str, zh: str) -> str:
        return in_language(says(en=en, zh=zh), self.language)

    def _named(self, hosts: list[str]) -> str:
        shown = named(hosts, self.language, most=_HOSTS)
        count = len(hosts)
        return shown if count == 1 else shown + self._say(en=f" ({count} hosts)", zh=f"（{count} 台）")

    def _field(self, name: Text, value: str) -> str:
        return "  " + in_language(name, self.language) + self._say(en=": ", zh="：") + value

    def _control(self, plan: ControlPlan) -> Iterator[str]:
        control = plan.control
        severity = in_language(SEVERITIES[control.severity], self.language)
        title = in_language(control.title.text, self.language)
        yield click.style(f"[{severity}] {control.item} {title} | {control.id}", bold=True)
        yield self._field(says(en="hosts", zh="主机"), self._named(plan.hosts))
        for text, hosts in plan.met:
            where = "" if hosts == plan.hosts else self._named(hosts) + self._say(en=": ", zh="：")
            yield self._field(says(en="now", zh="现状"), where + in_language(text, self.language))
        yield self._field(says(en="people notice", zh="业务影响"), in_language(control.impact.text, self.language))
        if control.risk != "none":
            yield self._field(says(en="risk", zh="整改风险"), in_language(RISKS[control.risk], self.language))
        for step in plan.steps:
            yield from self._step(step, plan)
        if plan.nothing:
            where = "" if plan.nothing == plan.hosts else self._named(plan.nothing) + self._say(en=": ", zh="：")
            word = click.style(self._say(en="nothing foreseen", zh="预览未见变更"), fg="yellow")
            todo = self._say(
                en="the check does not pass, and the remedy sees nothing to do; look at it by hand",
                zh="判定未通过，但整改未发现可改之处；请人工查看",
            )
            yield f"  {word}{self._say(en=': ', zh='：')}{where}{todo}"

    def _step(self, step: Step, plan: ControlPlan) -> Iterator[str]:
        word = click.style(in_language(_STATUSES[step.status], self.language), fg=_COLOURS[step.status])
        where = "" if step.hosts == plan.hosts else " | " + self._named(step.hosts)
        yield f"  {word}{self._say(en=': ', zh='：')}{step.task}{where}"
        if step.message:
            yield from (f"      {line}" for line in in_language(step.message, self.language).splitlines())
        for line in (step.diff or "").splitlines():
            yield "      " + _coloured(line)

    def _by_hand(self, plan: Foreseen) -> Iterator[str]:
        if not plan.by_hand:
            return
        yield self._say(en="No remedy exists; somebody must act:", zh="无自动整改，须人工处理：")
        for finding in plan.by_hand:
            yield f"  {finding.host} {finding.control}: {in_language(finding.text, self.language)}"
        yield ""

    def _waived(self, plan: Foreseen) -> Iterator[str]:
        if not plan.waived:
            return
        yield self._say(en="Waived, left as it is:", zh="已豁免，保持现状：")
        for finding in plan.waived:
            yield f"  {finding.host} {finding.control}: {in_language(finding.text, self.language)}"
        yield ""

    def _not_selected(self, plan: Foreseen) -> Iterator[str]:
        if not plan.not_selected:
            return
        yield self._say(en="Not selected by the site, left as it is:", zh="本单位未选用，保持现状：")
        for control, hosts in plan.not_selected.items():
            yield f"  {control}{self._say(en=': ', zh='：')}{self._named(hosts)}"
        yield ""

    def _unplanned(self, plan: Foreseen) -> Iterator[str]:
        if not plan.unplanned:
            return
        yield self._say(en="Not planned, nothing is known of these hosts:", zh="未能预览，下列主机状态未知：")
        for host, reason in plan.unplanned.items():
            yield f"  {host}: {in_language(reason, self.language)}"
        yield ""

    def _hosts(self, plan: Foreseen) -> Iterator[str]:
        heads = (
            says(en="host", zh="主机"),
            says(en="controls", zh="控制项"),
            says(en="changes", zh="变更"),
            says(en="known only after apply", zh="执行后才知道"),
            says(en="by hand", zh="人工处理"),
            says(en="waived", zh="已豁免"),
        )
        rows = [
            [host, *map(str, (sums.controls, sums.changes, sums.unknown, sums.by_hand, sums.waived))]
            for host, sums in plan.hosts.items()
        ]
        yield from aligned([[in_language(head, self.language) for head in heads], *rows])


def _coloured(line: str) -> str:
    if line.startswith(("+++", "---", "@@")):
        return click.style(line, fg="cyan")
    if line.startswith("+"):
        return click.style(line, fg="green")
    return click.style(line, fg="red") if line.startswith("-") else line
