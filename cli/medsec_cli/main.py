"""The entry point: language first, then the commands, then one clear line for whatever went wrong."""

from __future__ import annotations

import os
import sys

import click

import medsec
from medsec.errors import MedsecError
from medsec.text import Language, in_language, says
from medsec_cli.chinese import speak
from medsec_cli.commands import (
    backing_up,
    catalogue,
    changing,
    drilling,
    history,
    isolating,
    judging,
    lab,
    planning,
    pricing,
    site,
    statements,
    trial,
)
from medsec_cli.language import LANGUAGES, Say, choose

USAGE_ERROR = 2
INTERRUPTED = 130


def build(language: Language) -> click.Group:
    """Return the command line in `language`."""

    def say(text: str) -> str:
        return in_language(text, language)

    group = click.Group(
        "medsec",
        help=say(
            says(
                en="Harden the hosts of a clinic on the medical-insurance private network, and prove it.",
                zh="加固医保专网上的终端与服务器，并在迎检前逐项核实、留存佐证。",
            )
        ),
        params=_global_options(say),
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
        callback=_remember,
    )
    for module in (
        judging,
        planning,
        changing,
        history,
        isolating,
        backing_up,
        drilling,
        pricing,
        catalogue,
        statements,
        site,
        lab,
        trial,
    ):
        for command in module.commands(say, language):
            group.add_command(command)
    speak(group, language)
    return group


def _global_options(say: Say) -> list[click.Parameter]:
    return [
        click.Option(
            ["--lang"],
            type=click.Choice(LANGUAGES),
            help=say(says(en="Language; the locale's by default.", zh="输出语言，默认取自系统区域设置。")),
        ),
        click.Option(
            ["--no-color"],
            is_flag=True,
            help=say(says(en="Words only, no colours.", zh="不使用颜色。")),
        ),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help=say(says(en="Print the version.", zh="显示版本号。")),
        ),
    ]


def _version(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"medsec {medsec.__version__}")
        context.exit()


def _remember(lang: str | None, no_color: bool) -> None:
    if no_color:
        click.get_current_context().color = False


def main() -> None:
    """Run the command line and exit with its code: 0 all pass, 1 findings, 2 usage, 3 incomplete."""
    # Whatever is written, here or by an engine, is for nobody else to change.
    os.umask(os.umask(0o022) | 0o022)
    language = choose(sys.argv[1:])
    try:
        code = build(language).main(standalone_mode=False, prog_name="medsec")
    except click.exceptions.Abort:
        click.echo(in_language(says(en="Cancelled.", zh="已取消。"), language), err=True)
        sys.exit(INTERRUPTED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE_ERROR)
    except MedsecError as error:
        click.echo(f"medsec: {error.in_language(language)}", err=True)
        sys.exit(USAGE_ERROR)
    except BrokenPipeError:  # `medsec controls | head`
        sys.stderr.close()
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)
