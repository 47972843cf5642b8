"""`medsec runs` and `medsec rollback`: what was seen and changed before, and taking changes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from medsec.errors import UsageError
from medsec.evidence.reading import list_runs, load_run
from medsec.guard.journal import JOURNAL, read_journal
from medsec.guard.rollback import Rolled, rollback
from medsec.guard.session import Session
from medsec.guard.settings import settings
from medsec.inventory import load_inventory
from medsec.text import Language, in_language, says
from medsec_cli.language import Say
from medsec_cli.options import site_options

INCOMPLETE = 3

_STATES = {
    "saved": says(en="begun, its end was not seen", zh="已开始，未见结束"),
    "recorded": says(en="changed", zh="已改动"),
    "confirmed": says(en="changed, access proved", zh="已改动，登录已验证"),
    "reverted": says(en="taken back at once", zh="当场撤回"),
    "rolled-back": says(en="rolled back", zh="已回退"),
    "released": says(en="released from isolation", zh="已解除隔离"),
}


def commands(say: Say, language: Language) -> Iterator[click.Command]:
    """Yield the commands `runs` and `rollback`."""
    yield _runs(say, language)
    yield _rollback(say, language)


def _runs(say: Say, language: Language) -> click.Group:
    @click.group(
        "runs",
        invoke_without_command=True,
        help=say(says(en="The runs kept here.", zh="本目录保存的核查与整改记录。")),
    )
    @click.pass_context
    def runs(context: click.Context) -> None:
        if context.invoked_subcommand is None:
            context.invoke(list_)

    @runs.command("list", help=say(says(en="List them, the newest first.", zh="按时间倒序列出。")))
    def list_() -> None:
        changed = say(says(en="changed hosts", zh="有改动"))
        # A run that isolates or releases judges nothing: it has a journal only.
        only_changed = {path.parent for path in (Path.cwd() / "runs").glob(f"*/{JOURNAL}")}
        for path in sorted(only_changed | set(list_runs(Path.cwd())), reverse=True):
            click.echo(f"{path.name}\t{changed}" if (path / JOURNAL).is_file() else path.name)

    @runs.command("show", help=say(says(en="What a run changed, in its order.", zh="按顺序显示某次运行的改动。")))
    @click.argument("run", type=click.Path(path_type=Path))
    def show(run: Path) -> None:
        entries = read_journal(_folder(run))
        ended = {(entry.host, entry.step) for entry in entries if entry.state != "saved"}
        for entry in entries:
            if entry.state == "saved" and (entry.host, entry.step) in ended:
                continue
            word = say(_STATES[entry.state])
            click.echo(
                f"{entry.time}\t{entry.host}\t{entry.step}\t{word}\t{entry.engine}\t{', '.join(entry.controls)}"
            )
            if entry.reason:
                click.echo(f"    {entry.reason}")
            for change in entry.changes:
                click.echo(f"    {change.what}: {change.before} -> {change.after}")

    @runs.command(
        "diff",
        help=say(
            says(
                en="What a run changed in the hosts' files; with two runs, which verdicts differ.",
                zh="显示某次运行对主机文件内容的改动；给出两次运行时，显示结论的差异。",
            )
        ),
    )
    @click.argument("run", type=click.Path(path_type=Path))
    @click.argument("other", required=False, type=click.Path(path_type=Path))
    @site_options(say)
    def diff(run: Path, other: Path | None, inventory: Path, limit: tuple[str, ...]) -> None:
        if other is not None:
            _verdicts(_folder(run), _folder(other))
            return
        found = load_inventory(inventory)
        entries = read_journal(_folder(run))
        for host in found.limit(limit):
            steps = sorted({entry.step for entry in entries if entry.host == host.name and entry.changes})
            if steps:
                click.echo(f"== {host.name}")
                with Session(found.hosts[host.name], _folder(run).name, keep=settings(host).keep) as session:
                    for step in steps:
                        click.echo(session.contents(step))

    return runs


def _verdicts(first: Path, second: Path) -> None:
    before = {(f.host, f.control): f.verdict for f in load_run(first).findings}
    after = {(f.host, f.control): f.verdict for f in load_run(second).findings}
    for pair in sorted(before.keys() | after.keys()):
        if before.get(pair) != after.get(pair):
            click.echo(f"{pair[0]}\t{pair[1]}\t{before.get(pair, '-')}\t{after.get(pair, '-')}")


def _rollback(say: Say, language: Language) -> click.Command:
    @click.command(
        "rollback",
        help=say(
            says(
                en="Take back what a run changed, to the byte; not over later edits.",
                zh="把某次运行的改动逐字节恢复原状；之后又被修改的文件不会被覆盖。",
            )
        ),
    )
    @click.argument("run", type=click.Path(path_type=Path))
    @site_options(say)
    @click.option(
        "--control",
        "controls",
        multiple=True,
        metavar="CONTROL",
        help=say(says(en="Only this one.", zh="仅回退该控制项。")),
    )
    @click.option(
        "--force", is_flag=True, help=say(says(en="Also over later edits.", zh="连同之后的修改一并恢复。"))
    )
    @click.option("--forks", type=click.IntRange(1, 500), default=10, show_default=True)
    @click.option("--yes", is_flag=True, help=say(says(en="Do not ask.", zh="不再询问。")))
    def rollback_(
        run: Path,
        inventory: Path,
        limit: tuple[str, ...],
        controls: tuple[str, ...],
        force: bool,
        forks: int,
        yes: bool,
    ) -> int:
        folder = _folder(run)
        entries = read_journal(folder)
        _known(controls, {control for entry in entries for control in entry.controls}, folder)
        found = load_inventory(inventory)
        names = [host.name for host in found.limit(limit)] if limit else None
        if not yes:
            question = says(
                en=f"Take back what run {folder.name} changed", zh=f"将回退运行 {folder.name} 的改动，是否继续"
            )
            click.confirm(say(question), abort=True)

        def show(rolled: Rolled) -> None:
            if rolled.problem is None:
                word = say(says(en="rolled back", zh="已回退"))
                click.echo(f"{rolled.host}\t{word}\t{', '.join(rolled.controls)}")
            else:
                click.echo(f"medsec: {in_language(rolled.problem, language)}", err=True)
                if rolled.diff:
                    click.echo(rolled.diff, err=True)

        done = rollback(found, folder, hosts=names, controls=controls, force=force, forks=forks, on_host=show)
        return INCOMPLETE if any(rolled.problem is not None for rolled in done) else 0

    return rollback_


def _known(controls: tuple[str, ...], there: set[str], folder: Path) -> None:
    for control in controls:
        if control not in there:
            raise UsageError(
                says(
                    en=f"run {folder.name} did not touch {control!r}; it touched: {', '.join(sorted(there))}",
                    zh=f"运行 {folder.name} 未涉及 {control!r}；涉及的控制项：{'、'.join(sorted(there))}",
                )
            )


def _folder(run: Path) -> Path:
    """The folder of a run, given as a path or as its id."""
    for path in (run, Path.cwd() / "runs" / run):
        if path.is_dir():
            return path.resolve()
    known = ", ".join(path.name for path in list_runs(Path.cwd())[:5])
    raise UsageError(
        says(
            en=f"{run}: no such run; the newest kept in {Path.cwd()}: {known or 'none'}",
            zh=f"{run}：没有该运行记录；{Path.cwd()} 中最近的记录：{known or '无'}",
        )
    )
