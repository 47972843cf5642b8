"""`medsec isolate` and `medsec release`: cutting a host under suspicion off the network, but for administration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from medsec.catalogue.controls import load_controls
from medsec.errors import UsageError
from medsec.inventory import load_inventory
from medsec.isolation.effect import effect
from medsec.isolation.isolating import Done, End, isolate, management, release
from medsec.resources import root
from medsec.text import Language, in_language, says
from medsec_cli.language import Say
from medsec_cli.options import inventory_option

# The gravest first.
_CODES = {End.NOT_DONE: 3, End.REFUSED: 2, End.LOOK: 1, End.AS_ASKED: 0}


def commands(say: Say, language: Language) -> Iterator[click.Command]:
    """Yield the commands `isolate` and `release`."""
    yield _isolate(say, language)
    yield _release(say, language)


def _isolate(say: Say, language: Language) -> click.Command:
    @click.command(
        "isolate",
        help=say(
            says(
                en="Cut hosts off the network at once, but for administration by SSH.",
                zh="立即切断主机与网络的连接，仅保留运维管理 SSH。",
            )
        ),
    )
    @click.argument("names", nargs=-1, required=True, metavar="HOST...")
    @inventory_option(say)
    @click.option("--reason", required=True, help=say(says(en="Why, for the record.", zh="隔离原因，留存备查。")))
    @click.option("--yes", is_flag=True, help=say(says(en="Do not ask.", zh="不再询问。")))
    def isolate_(names: tuple[str, ...], inventory: Path, reason: str, yes: bool) -> int:
        _require_reason(reason)
        found = load_inventory(inventory)
        controls = load_controls(root() / "roles")
        hosts = found.limit(names)
        for host in hosts:
            left = management(controls, found, host)
            click.echo(f"== {host.name}")
            for text in effect(found, host, left):
                click.echo(f"  {say(says(en='stops: ', zh='将中断：'))}{say(text)}")
            stays = says(
                en=f"stays: SSH on port {', '.join(map(str, left.ports))} from {', '.join(left.networks)}",
                zh=f"保留：{'、'.join(left.networks)} 至端口 {'、'.join(map(str, left.ports))} 的 SSH",
            )
            click.echo(f"  {say(stays)}")
        if not yes:
            listed = ", ".join(host.name for host in hosts)
            click.confirm(say(says(en=f"Cut off {listed}", zh=f"将隔离 {listed}，是否继续")), abort=True)
        folder, done = isolate(
            found, controls, hosts, reason, site=Path.cwd(), on_done=lambda one: _show(one, say, language)
        )
        click.echo(str(folder))
        return _code(done)

    return isolate_


def _release(say: Say, language: Language) -> click.Command:
    @click.command(
        "release",
        help=say(
            says(
                en="Undo an isolation and nothing else; the host is compared with what it was.",
                zh="解除隔离且仅撤销隔离本身，并与隔离前逐项比对。",
            )
        ),
    )
    @click.argument("names", nargs=-1, required=True, metavar="HOST...")
    @inventory_option(say)
    @click.option(
        "--force",
        is_flag=True,
        help=say(says(en="Also where files of the isolation were edited.", zh="隔离文件已被修改的，也强制解除。")),
    )
    @click.option("--yes", is_flag=True, help=say(says(en="Do not ask.", zh="不再询问。")))
    def release_(names: tuple[str, ...], inventory: Path, force: bool, yes: bool) -> int:
        found = load_inventory(inventory)
        hosts = found.limit(names)
        if not yes:
            listed = ", ".join(host.name for host in hosts)
            question = says(
                en=f"Connect {listed} to the network again", zh=f"将恢复 {listed} 的网络连接，是否继续"
            )
            click.confirm(say(question), abort=True)
        folder, done = release(
            found, hosts, site=Path.cwd(), force=force, on_done=lambda one: _show(one, say, language)
        )
        click.echo(str(folder))
        return _code(done)

    return release_


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise UsageError(
            says(
                en=f"--reason {reason!r}: some words are needed; they stand in the record of the incident",
                zh=f"--reason {reason!r}：请填写原因，将写入事件记录",
            )
        )


_STANDING = {
    True: says(en="isolated", zh="已隔离"),
    False: says(en="not isolated", zh="未隔离"),
    None: says(en="not known to be isolated", zh="未能确认隔离状态"),
}


def _show(done: Done, say: Say, language: Language) -> None:
    click.echo(f"{done.host}\t{say(_STANDING[done.standing])}")
    if done.problem is not None:
        click.echo(f"medsec: {in_language(done.problem, language)}", err=True)
    if done.diff:
        click.echo(done.diff, err=True)


def _code(done: list[Done]) -> int:
    ends = {one.end for one in done}
    return next(code for end, code in _CODES.items() if end in ends)
