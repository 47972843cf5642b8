"""`medsec apply`: changing what does not pass."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from medsec.engines.base import EngineName
from medsec.engines.plan_file import PlanFile, drift, read_plan
from medsec.engines.planning import apply
from medsec.engines.registry import engine
from medsec.errors import UsageError
from medsec.evidence.conclusion import conclude
from medsec.guard.guarding import HostGuard
from medsec.text import Language, in_language, says
from medsec_cli.language import Say
from medsec_cli.output import FORMATS
from medsec_cli.progress import progress
from medsec_cli.remedies import INCOMPLETE, ChosenWork, by_hand, failures, kept, look_ahead, remedy_options


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
    @click.argument("plan", required=False, type=click.Path(path_type=Path, dir_okay=False), metavar="[PLAN]")
    @remedy_options(say)
    @click.option(
        "--batch",
        metavar="N|N%",
        help=say(
            says(
                en="So many hosts at a time; the next ones only when these pass.",
                zh="每批主机数；本批全部符合后才开始下一批。",
            )
        ),
    )
    @click.option("--yes", is_flag=True, help=say(says(en="Do not ask.", zh="不再询问。")))
    def apply_(plan: Path | None, engine_name: EngineName, batch: str | None, yes: bool, **given: Any) -> int:
        approved = None if plan is None else read_plan(plan)
        if approved is not None:
            engine_name = approved.engine
            _refuse_other_choices(given, plan, approved)
        work = ChosenWork(given, say, language)
        size = None if batch is None else _batch_size(batch, len(work.hosts))
        if not yes:
            names = ", ".join(host.name for host in work.hosts[:10])
            question = says(
                en=f"Change {len(work.hosts)} hosts ({names})? Controls that may lock people out are among them",
                zh=f"将整改 {len(work.hosts)} 台主机（{names}），其中包含可能影响登录的控制项，是否继续",
            )
            click.confirm(say(question), abort=True)
        if approved is not None:
            _require_no_drift(approved, work)
        guard = HostGuard(work.inventory, lambda: work.runs[0].path, engine_name, work.forks)
        with progress(0) as shown:
            done = apply(
                work.selection,
                engine(engine_name),
                judge=work.judge,
                on_event=work.listener(shown),
                guard=guard,
                batch=size,
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
        if done.left:
            stopped = says(
                en=f"Stopped: a batch did not pass. Not begun: {', '.join(done.left)}",
                zh=f"已停止：有一批主机整改后仍不符合。尚未开始：{'、'.join(done.left)}",
            )
            click.echo(say(stopped), err=True)
            failed = INCOMPLETE
        whole = conclude(done.after, planned=len(work.hosts) * len(work.selection.controls))
        return max(failed, whole.exit_code)

    yield apply_


def _refuse_other_choices(given: dict[str, Any], plan: Path | None, approved: PlanFile) -> None:
    """A plan says what is done where; nothing else may say otherwise."""
    if given["controls"] or given["items"] or given["tags"] or given["limit"] or given["every"]:
        raise UsageError(
            says(
                en=f"{plan} says which controls and hosts are meant; leave out --control, --item, --tag, --limit and --all",
                zh=f"{plan} 已确定控制项和主机；请不要再用 --control、--item、--tag、--limit、--all",
            )
        )
    given |= {"controls": tuple(approved.controls), "limit": tuple(approved.hosts), "every": approved.every}


def _require_no_drift(approved: PlanFile, work: ChosenWork) -> None:
    """Raise UsageError where the hosts are no longer as they were when the plan was approved."""
    _, folded = look_ahead(work, approved.engine)
    lines = drift(approved, kept(work, folded, approved.engine))
    lines += [f"? {host}: {in_language(reason, 'en')}" for host, reason in folded.unplanned.items()]
    if lines:
        shown = "\n".join(lines)
        raise UsageError(
            says(
                en=f"the hosts are not as they were when the plan was made; nothing was changed. Plan again. "
                f"The difference (- planned, + now):\n{shown}",
                zh=f"主机状态与编制计划时不一致，未作任何改动，请重新编制计划。差异（- 为计划，+ 为当前）：\n{shown}",
            )
        )
    # What is applied is judged anew; these runs only led to the comparison.
    work.runs.clear()


def _batch_size(text: str, hosts: int) -> int:
    """Return how many hosts `text` ("4" or "10%") means. Raises UsageError for anything else."""
    found = re.fullmatch(r"([1-9][0-9]*)(%?)", text)
    if found is None or (found.group(2) and int(found.group(1)) > 100):
        raise UsageError(
            says(
                en=f"--batch {text!r}: a number of hosts, or 1% to 100%, is accepted",
                zh=f"--batch {text!r}：可用主机数，或 1% 至 100%",
            )
        )
    number = int(found.group(1))
    return max(1, hosts * number // 100) if found.group(2) else number
