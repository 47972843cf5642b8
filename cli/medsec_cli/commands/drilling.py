"""`medsec drill`: proving that backups can be restored, and that the emergency plan works."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from medsec.catalogue.controls import load_controls
from medsec.drills.engines import Engine
from medsec.drills.record import OUTCOMES, STEPS, Drill, Outcome
from medsec.drills.restore import drill_restore, products
from medsec.drills.scratch import DrillHeld
from medsec.drills.timer import units
from medsec.errors import HostUnreachable, ProbeError, UsageError
from medsec.inventory import Host, Inventory, load_inventory
from medsec.resources import root
from medsec.text import Language, says
from medsec_cli.commands.exercising import emergency, list_
from medsec_cli.language import Say
from medsec_cli.options import inventory_option

_CODES = {Outcome.PASSED: 0, Outcome.FAILED: 1, Outcome.NOT_MADE: 3}
INCOMPLETE = 3


def commands(say: Say, language: Language) -> Iterator[click.Command]:
    """Yield the command `drill`."""

    @click.group("drill", help=say(says(en="Drills, measured and recorded.", zh="演练：计时并留存记录。")))
    def drill() -> None:
        """Hold the kinds of drills."""

    @drill.command(
        "restore",
        help=say(
            says(
                en="Restore a server's newest backup into a scratch server, compare, measure, record.",
                zh="把最新备份恢复到临时实例，逐表比对、计时并留存记录。",
            )
        ),
    )
    @inventory_option(say)
    @click.option(
        "--host",
        "name",
        help=say(
            says(
                en="The database server; by default every one that the ledger registers.",
                zh="数据库服务器；默认为台账登记的全部数据库服务器。",
            )
        ),
    )
    @click.option(
        "--system",
        metavar="PRODUCT",
        help=say(
            says(
                en="postgresql, mariadb, pgbackrest or mariadb-backup; the ledger's dumps by default.",
                zh="`postgresql`、`mariadb`、`pgbackrest` 或 `mariadb-backup`；默认为台账登记产品的转储备份。",
            )
        ),
    )
    @click.option(
        "--on",
        metavar="HOST",
        help=say(
            says(
                en="Where to restore; by default the backup host if it has the tools.",
                zh="在哪台主机上恢复；默认为装有相应工具的备份主机，否则为本机。",
            )
        ),
    )
    def restore(inventory: Path, name: str | None, system: str | None, on: str | None) -> int:
        found = load_inventory(inventory)
        hosts = [_one(found, name)] if name else _servers(found)
        target = _one(found, on) if on else None
        controls = load_controls(root() / "roles")
        worst = 0
        todo: list[tuple[Host, Engine]] = []
        for host in hosts:
            try:
                todo += [(host, engine) for engine in products(found, host, system)]
            except UsageError as error:
                # Of many servers those that can be drilled are; one that was asked for by name is an error of the question.
                if name:
                    raise
                click.echo(f"medsec: {error.in_language(language)}", err=True)
                worst = INCOMPLETE
        for host, engine in todo:
            click.echo(f"== {host.name} {engine.name}")
            try:
                made, folder = drill_restore(
                    found,
                    controls,
                    host,
                    engine,
                    site=Path.cwd(),
                    on=target,
                    on_step=lambda step: click.echo(f"  {say(STEPS[step])}", err=True),
                )
            except (HostUnreachable, ProbeError, DrillHeld) as error:
                click.echo(f"medsec: {error.in_language(language)}", err=True)
                worst = INCOMPLETE
                continue
            _show(made, folder, say)
            worst = max(worst, _CODES[made.outcome])
        return worst

    drill.add_command(_schedule(say))
    drill.add_command(emergency(say, language))
    drill.add_command(list_(say))
    yield drill


def _schedule(say: Say) -> click.Command:
    @click.command(
        "schedule",
        help=say(
            says(
                en="Write a timer of systemd that makes the restore drills from this machine.",
                zh="生成 `systemd` 定时器，由本机定期执行恢复演练。",
            )
        ),
    )
    @inventory_option(say)
    @click.option(
        "--calendar",
        default="monthly",
        show_default=True,
        metavar="TIME",
        help=say(says(en="When, as systemd.time(7) writes it.", zh="执行时间，写法见 `systemd.time(7)`。")),
    )
    @click.option(
        "--output",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("systemd"),
        show_default=True,
        metavar="DIR",
        help=say(says(en="Where the two units are written.", zh="两个单元文件的写入目录。")),
    )
    def schedule(inventory: Path, calendar: str, output: Path) -> None:
        _servers(load_inventory(inventory))
        made = units(Path.cwd(), inventory, Path(sys.argv[0]).resolve(), calendar)
        output.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            (output / name).write_text(text, encoding="utf-8")
            click.echo(str(output / name))
        timer = next(name for name in made if name.endswith(".timer"))
        click.echo(say(says(en="Next, as root:", zh="下一步（root）：")))
        click.echo(f"  install -m 644 {output}/{timer.removesuffix('.timer')}.* /etc/systemd/system/")
        click.echo(f"  systemctl daemon-reload && systemctl enable --now {timer}")

    return schedule


def _show(made: Drill, folder: Path, say: Say) -> None:
    for reason in made.reasons():
        click.echo(f"  {say(reason)}")
    if made.rto is not None and made.rpo is not None:
        click.echo(
            say(
                says(
                    en=f"  {made.tables} tables, {made.rows} rows; back after {made.rto:.1f} s; data {made.rpo / 3600:.1f} hours old",
                    zh=f"  {made.tables} 张表、{made.rows} 行；恢复用时 {made.rto:.1f} 秒；数据时点距今 {made.rpo / 3600:.1f} 小时",
                )
            )
        )
    click.echo(f"  {say(OUTCOMES[made.outcome])}")
    click.echo(f"  {folder}")


def _servers(inventory: Inventory) -> list[Host]:
    found = [host for host in inventory.hosts.values() if host.ledger.runs]
    if not found:
        raise UsageError(
            says(
                en=f"{inventory.path}: no host of the ledger has `runs`, so there is nothing to drill; register its databases",
                zh=f"{inventory.path}：台账中没有主机登记 `runs`，无可演练的备份；请先登记其数据库",
            )
        )
    return found


def _one(inventory: Inventory, name: str) -> Host:
    if name not in inventory.hosts:
        known = ", ".join(inventory.hosts)
        raise UsageError(
            says(
                en=f"{inventory.path}: no host {name!r}; hosts: {known}",
                zh=f"{inventory.path}：没有主机 {name!r}；已有主机：{known}",
            )
        )
    return inventory.hosts[name]
