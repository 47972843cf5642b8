"""`medsec backup`: making a backup now, and what there is of backups."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import yaml

from medsec.backups.copies import with_copies
from medsec.backups.jobs import Job, jobs
from medsec.backups.keys import CopyKeys, copy_keys, keepers
from medsec.backups.making import Result, make
from medsec.backups.survey import Answer, BackupSet, State, named, survey
from medsec.catalogue.controls import Controls, load_controls
from medsec.columns import table
from medsec.drills.record import OUTCOMES, Outcome
from medsec.errors import MedsecError
from medsec.inventory import Inventory, load_inventory
from medsec.resources import root
from medsec.text import Language, Text, in_language, says
from medsec_cli.language import Say

OVERDUE, INCOMPLETE = 1, 3
# Lines about a backup that goes on, at most one in so many seconds for each.
_EVERY = 5.0
_NONE = says(en="none", zh="无")


def commands(say: Say, language: Language) -> Iterator[click.Command]:
    """Yield the command `backup`."""

    @click.group(
        "backup",
        help=say(says(en="Make backups, and see what there is of them.", zh="备份：立即执行与查看现状。")),
    )
    def backup() -> None:
        """Hold what is done with backups."""

    options = _options(say)

    @backup.command(
        "now",
        help=say(
            says(
                en="Start the backup as its timer would, wait, and say how it ended.",
                zh="按定时任务的方式立即备份，等待完成并报告结果。",
            )
        ),
    )
    @options
    def now(form: str, **given: Any) -> int:
        shown: dict[tuple[str, str], float] = {}

        def on_progress(job: Job, seconds: float, size: int | None) -> None:
            key = (job.host.name, job.product)
            if seconds - shown.get(key, -_EVERY) >= _EVERY:
                shown[key] = seconds
                room = "" if size is None else f"  {_size(size)}"
                click.echo(f"  {job.host.name} {job.product}: {seconds:.0f} s{room}", err=True)

        results = []
        _, _, work = _work(given)
        for result in make(work, on_progress):
            results.append(result)
            if form == "text":
                _made(result, say)
            _problems(result.problems, language)
        if form == "json":
            _json([_made_value(result) for result in results])
        if any(result.problems for result in results):
            return INCOMPLETE
        return int(any(not made.good for result in results for made in result.made))

    @backup.command(
        "status",
        help=say(
            says(
                en="How old the newest backup is, against the target; exit code 1 when one is overdue.",
                zh="最近一次可用备份的时间与恢复点目标；有逾期时退出码为 1。",
            )
        ),
    )
    @options
    def status(form: str, **given: Any) -> int:
        site, controls, work = _work(given)
        answers = list(with_copies(site, controls, list(survey(work))))
        states = [state for answer in answers for state in answer.states]
        if form == "json":
            _json([state.value() for state in states])
        elif states:
            click.echo(table([say(head) for head in _HEADS], [_row(state, say) for state in states]))
        return _ended(answers, any(state.overdue for state in states), language)

    @backup.command("list", help=say(says(en="The backups that a host has.", zh="列出主机上的各份备份。")))
    @options
    def list_(form: str, **given: Any) -> int:
        _, _, work = _work(given)
        answers = list(survey(work))
        states = [state for answer in answers for state in answer.states]
        if form == "json":
            _json(
                [
                    {"host": state.job.host.name, "system": state.job.product, **found.value()}
                    for state in states
                    for found in state.sets
                ]
            )
        for state in states if form == "text" else []:
            click.echo(f"== {state.job.host.name} {state.job.product}")
            rows = [_set_row(found, say) for found in state.sets]
            click.echo(table([say(head) for head in _SET_HEADS], rows) if rows else f"  {say(_NONE)}")
        return _ended(answers, False, language)

    @backup.command(
        "key",
        help=say(
            says(
                en="Print what the ledger is to hold of the keys of a host that keeps copies.",
                zh="输出副本主机与来源服务器的公钥，供登记入台账。",
            )
        ),
    )
    @_host_options(say)
    def key(**given: Any) -> int:
        found = load_inventory(given["inventory"])
        controls, code = load_controls(root() / "roles"), 0
        for keeper in keepers(found.limit(given["limit"])):
            try:
                for keys in copy_keys(found, controls, keeper):
                    click.echo(_ledger_lines(keys))
            except MedsecError as error:
                _problems([named(keeper, error)], language)
                code = INCOMPLETE
        return code

    yield backup


def _ledger_lines(keys: CopyKeys) -> str:
    source = {"host": keys.source.host, "address": keys.source.address, "port": keys.source.port}
    source |= {"systems": keys.source.systems, "key": keys.source_key}
    keeper = {"host": keys.keeper.name, "address": keys.keeper.ledger.address, "key": keys.keeper_key}
    ends = {keys.source.host: {"copied_to": [keeper]}, keys.keeper.name: {"copies_of": [source]}}
    return yaml.safe_dump(ends, sort_keys=False, allow_unicode=True, width=1000).rstrip()


_HEADS = (
    says(en="host", zh="主机"),
    says(en="system", zh="数据库"),
    says(en="last good backup", zh="最近可用备份"),
    says(en="age/target", zh="时差/目标"),
    says(en="size", zh="大小"),
    says(en="where", zh="存放于"),
    says(en="last drill", zh="最近演练"),
    says(en="next run", zh="下次执行"),
    says(en="free", zh="剩余空间"),
    says(en="state", zh="状态"),
)
_SET_HEADS = (
    says(en="taken", zh="备份时间"),
    says(en="size", zh="大小"),
    says(en="tables", zh="表数"),
    says(en="rows", zh="行数"),
    says(en="sealed", zh="是否封存"),
    says(en="name", zh="名称"),
)


def _options(say: Say) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for option in (
            click.option(
                "-f",
                "--format",
                "form",
                type=click.Choice(["text", "json"]),
                default="text",
                show_default=True,
                help=say(says(en="Form of the answer.", zh="输出格式。")),
            ),
            click.option(
                "--system",
                metavar="PRODUCT",
                help=say(
                    says(
                        en="postgresql, mariadb, pgbackrest or mariadb-backup; the ledger's by default.",
                        zh="`postgresql`、`mariadb`、`pgbackrest` 或 `mariadb-backup`；默认为台账登记的产品。",
                    )
                ),
            ),
        ):
            command = option(command)
        return _host_options(say)(command)

    return decorate


def _host_options(say: Say) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for option in (
            click.option(
                "--limit",
                "--host",
                "limit",
                multiple=True,
                metavar="PATTERN",
                help=say(
                    says(en="Hosts or groups; globs and !name work.", zh="主机或主机组，可用通配符与 !名称。")
                ),
            ),
            click.option(
                "-i",
                "--inventory",
                type=click.Path(path_type=Path),
                default=Path("inventory"),
                show_default=True,
                envvar="MEDSEC_INVENTORY",
                help=say(
                    says(en="The site's folder with hosts.yml.", zh="本单位主机清单所在目录（含 hosts.yml）。")
                ),
            ),
        ):
            command = option(command)
        return command

    return decorate


def _work(given: dict[str, Any]) -> tuple[Inventory, Controls, list[list[Job]]]:
    found = load_inventory(given["inventory"])
    controls = load_controls(root() / "roles")
    return found, controls, jobs(found, controls, found.limit(given["limit"]), given["system"])


def _row(state: State, say: Say) -> list[str]:
    last, age = state.last, state.age
    target = f"{state.job.rpo / 3600:.0f} h"
    return [
        state.job.host.name,
        state.job.product,
        _local(last.taken) if last else say(_NONE),
        f"{age / 3600:.1f} h/{target}" if age is not None else f"-/{target}",
        _size(last.bytes) if last else "-",
        _where(state, say),
        _drill(state, say),
        _local(state.next_run) if state.next_run else say(_NONE),
        _size(state.free) if state.free is not None else "-",
        say(says(en="OVERDUE", zh="逾期") if state.overdue else says(en="in time", zh="正常")),
    ]


def _where(state: State, say: Say) -> str:
    """Return who holds the newest backup, and of the other keepers the newest that they hold."""
    places = state.places
    late = [
        f"{name} ({_local(copy.taken) if copy else say(_NONE)})"
        for name, copy in state.copies.items()
        if name not in places
    ]
    return ", ".join([*places, *late]) or "-"


def _drill(state: State, say: Say) -> str:
    if state.drill is None:
        return say(says(en="never", zh="从未演练"))
    if state.drill.problem is not None or state.drill.outcome not in set(Outcome):
        return say(says(en="its record cannot be believed", zh="记录不可信"))
    days = (state.now.timestamp() - state.drill.finished) / 86400
    word = OUTCOMES[Outcome(state.drill.outcome)]
    outcome = says(en=word.en.partition(":")[0], zh=word.zh.partition("：")[0])
    return say(says(en=f"{outcome.en}, {days:.0f} days ago", zh=f"{outcome.zh}，{days:.0f} 天前"))


def _set_row(found: BackupSet, say: Say) -> list[str]:
    words = {
        True: says(en="sealed", zh="已封存"),
        False: says(en="NOT sealed", zh="未封存"),
        None: says(en="site's own", zh="本单位任务"),
    }
    return [
        _local(found.taken) if found.taken else "-",
        _size(found.bytes),
        "-" if found.tables is None else str(found.tables),
        "-" if found.rows is None else str(found.rows),
        say(words[found.sealed]),
        found.name,
    ]


def _made(result: Result, say: Say) -> None:
    for made in result.made:
        place = f"{result.host.name}\t{made.job.product}"
        if made.reason is not None:
            click.echo(f"{place}\t{say(says(en='FAILED', zh='失败'))}\t{say(made.reason)}")
        elif made.set is not None:
            name, size = made.set.name, _size(made.set.bytes)
            rows = made.set.rows
            held = says(en=f", {made.set.tables} tables, {rows} rows", zh=f"，{made.set.tables} 张表、{rows} 行")
            click.echo(
                f"{place}\t{say(says(en='backed up', zh='已备份'))}\t{name}, {size}{say(held) if rows is not None else ''}"
            )


def _made_value(result: Result) -> dict[str, Any]:
    return {
        "host": result.host.name,
        "made": [
            {
                "system": made.job.product,
                "good": made.good,
                "set": made.set.value() if made.set else None,
                "reason": _both(made.reason),
            }
            for made in result.made
        ],
        "problems": [_both(problem) for problem in result.problems],
    }


def _both(text: Text | None) -> dict[str, str] | None:
    return {"zh": text.zh, "en": text.en} if text is not None else None


def _ended(answers: Sequence[Answer], found: bool, language: Language) -> int:
    problems = [problem for answer in answers for problem in answer.problems]
    _problems(problems, language)
    return INCOMPLETE if problems else OVERDUE if found else 0


def _problems(problems: Sequence[Text], language: Language) -> None:
    for problem in problems:
        click.echo(f"medsec: {in_language(problem, language)}", err=True)


def _json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=1))


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _local(time: datetime | None) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if time is not None else "-"
