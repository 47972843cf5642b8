"""`medsec init` and `medsec doctor`: a site's own folder, and what must be there before work begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from medsec.catalogue.controls import load_controls
from medsec.doctor import State, examine
from medsec.inventory.scaffold import scaffold
from medsec.resources import root
from medsec.text import Language, in_language, says
from medsec_cli.language import Say
from medsec_cli.options import site, site_options


def commands(say: Say, language: Language) -> Iterator[click.Command]:
    """Yield the commands `init`, `doctor` and `completion`."""

    @click.command(
        "init",
        help=say(
            says(en="Make a site's own folder from the example clinic.", zh="以示范诊所为样本新建本单位目录。")
        ),
    )
    @click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
    def init(folder: Path) -> None:
        for path in scaffold(folder):
            click.echo(path)
        click.echo(
            say(
                says(
                    en=f"Next: enter your hosts in hosts.yml and the ledger, then cd {folder} && medsec doctor",
                    zh=f"下一步：在 hosts.yml 和台账中登记本单位主机，然后 cd {folder} && medsec doctor",
                )
            )
        )

    @click.command(
        "doctor",
        help=say(
            says(en="Examine this machine and each host before work begins.", zh="开工前检查本机与各主机的条件。")
        ),
    )
    @site_options(say)
    @click.option("--here", is_flag=True, help=say(says(en="This machine only.", zh="只检查本机。")))
    def doctor(inventory: Path, limit: tuple[str, ...], here: bool) -> int:
        words = {
            State.GOOD: says(en="good", zh="正常"),
            State.WARNING: says(en="WARNING", zh="注意"),
            State.BAD: says(en="BAD", zh="异常"),
        }
        hosts = [] if here else site(inventory, limit, load_controls(root() / "roles"))[1]
        worst = 0
        for symptom in examine(hosts, Path.cwd()):
            worst = max(worst, int(symptom.state is State.BAD))
            click.echo(f"{say(words[symptom.state])}\t{symptom.place}\t{in_language(symptom.text, language)}")
        return worst

    @click.command(
        "completion", help=say(says(en="Print the shell's completion file.", zh="输出命令行补全脚本。"))
    )
    @click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
    @click.pass_context
    def completion(context: click.Context, shell: str) -> None:
        root = context.find_root().command
        found = get_completion_class(shell)
        if found is None:
            raise click.UsageError(shell)
        click.echo(found(root, {}, "medsec", "_MEDSEC_COMPLETE").source())

    yield from (init, doctor, completion)
