"""`medsec drill`: proving that backups can be restored, and that the emergency plan works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from medsec.catalogue.controls import load_controls
from medsec.drills.record import OUTCOMES, STEPS, Drill, Outcome
from medsec.drills.restore import drill_restore, products
from medsec.drills.scratch import DrillHeld
from medsec.errors import HostUnreachable, ProbeError, UsageError
from medsec.inventory import Host, Inventory, load_inventory
from medsec.resources import root
from medsec.text import Language, says
from medsec_cli.commands.exercising import emergency, list_
from medsec_cli.language import Say

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
    @click.option(
        "-i",
        "--inventory",
        type=click.Path(path_type=Path),
        default=Path("inventory"),
        show_default=True,
        envvar="MEDSEC_INVENTORY",
        help=say(says(en="The site's folder with hosts.yml.", zh="本单位主机清单所在目录（含 hosts.yml）。")),
    )
    @click.option("--host", "name", required=True, help=say(says(en="The database server.", zh="数据库服务器。")))
    @click.option(
        "--system",
        metavar="PRODUCT",
        help=say(
            says(
                en="postgresql, mariadb or pgbackrest; the ledger's dumps by default.",
                zh="`postgresql`、`mariadb` 或 `pgbackrest`；默认为台账登记产品的转储备份。",
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
    def restore(inventory: Path, name: str, system: str | None, on: str | None) -> int:
        found = load_inventory(inventory)
        host = _one(found, name)
        target = _one(found, on) if on else None
        controls = load_controls(root() / "roles")
        worst = 0
        for engine in products(found, host, system):
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

    drill.add_command(emergency(say, language))
    drill.add_command(list_(say))
    yield drill


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
