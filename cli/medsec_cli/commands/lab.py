"""`medsec lab`: the clinic of disposable hosts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click

from medsec.columns import table
from medsec.lab import Lab
from medsec.text import Language, says
from medsec_cli.language import Say


def commands(say: Say, language: Language) -> Iterator[click.Command]:
    """Yield the group `lab`."""
    group = click.Group(
        "lab",
        help=say(says(en="A small clinic of real hosts on this machine.", zh="在本机搭建小型诊所实验环境。")),
    )
    index = click.option(
        "--index",
        type=click.IntRange(0, 31),
        default=0,
        show_default=True,
        envvar="MEDSEC_LAB_INDEX",
        help=say(says(en="Labs of different index run side by side.", zh="编号不同的实验环境可同时运行。")),
    )

    @group.command("up", help=say(says(en="Start the clinic, or the named hosts.", zh="启动整个诊所或指定主机。")))
    @click.argument("names", nargs=-1, metavar="[HOST]...")
    @click.option(
        "--inventory",
        "folder",
        type=click.Path(path_type=Path),
        default=Path("lab-site"),
        show_default=True,
        help=say(says(en="Where the lab's inventory is written.", zh="实验环境主机清单的写入目录。")),
    )
    @index
    def up(names: tuple[str, ...], folder: Path, index: int) -> None:
        lab = Lab("clinic", index)
        for host in lab.up(names or None):
            click.echo(f"{host.name}\t{host.address}")
        lab.write_inventory(folder)
        click.echo(
            say(
                says(
                    en=f"Inventory: {folder}. Next: medsec verify -i {folder}",
                    zh=f"主机清单：{folder}。下一步：medsec verify -i {folder}",
                )
            )
        )

    @group.command("status", help=say(says(en="What each host is doing.", zh="各主机状态。")))
    @index
    def status(index: int) -> None:
        rows = [
            [host.name, host.kind, host.zone, host.address, host.suite, host.tier, say(STATES[host.state])]
            for host in Lab("clinic", index).status()
        ]
        heads = (
            says(en="host", zh="主机"),
            says(en="kind", zh="类型"),
            says(en="zone", zh="区域"),
            says(en="address", zh="地址"),
            says(en="release", zh="版本"),
            says(en="tier", zh="层级"),
            says(en="state", zh="状态"),
        )
        click.echo(table([say(head) for head in heads], rows))

    @group.command(
        "ssh",
        help=say(says(en="Log in to a host, or run a command there.", zh="登录主机或在其上执行命令。")),
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    )
    @index
    @click.argument("name", metavar="HOST")
    @click.argument("command", nargs=-1, type=click.UNPROCESSED)
    def ssh(name: str, command: tuple[str, ...], index: int) -> None:
        lab = Lab("clinic", index)
        host = lab.host(name)
        os.execvp("ssh", ["ssh", "-F", str(lab.ssh_config_path), host.name, *command])

    @group.command("reset", help=say(says(en="Make a host as new.", zh="将主机恢复为初始状态。")))
    @click.argument("names", nargs=-1, required=True, metavar="HOST...")
    @index
    def reset(names: tuple[str, ...], index: int) -> None:
        lab = Lab("clinic", index)
        for name in names:
            click.echo(lab.reset(name).name)

    @group.command(
        "snapshot", help=say(says(en="Keep a host's present state under a label.", zh="以标签保存主机当前状态。"))
    )
    @click.argument("name", metavar="HOST")
    @click.argument("label")
    @click.option("--restore", is_flag=True, help=say(says(en="Go back to it instead.", zh="改为恢复到该状态。")))
    @index
    def snapshot(name: str, label: str, restore: bool, index: int) -> None:
        lab = Lab("clinic", index)
        if restore:
            lab.restore(name, label)
        else:
            lab.snapshot(name, label)

    @group.command(
        "down",
        help=say(
            says(
                en="Take the lab away: no process, mount, bridge or namespace stays.",
                zh="拆除实验环境：不残留进程、挂载、网桥与命名空间。",
            )
        ),
    )
    @index
    def down(index: int) -> None:
        Lab("clinic", index).down()

    yield group


STATES = {
    "running": says(en="running", zh="运行中"),
    "stopped": says(en="stopped", zh="已停止"),
    "orphaned": says(en="orphaned (its launcher was killed)", zh="残留（启动进程已被终止）"),
}
