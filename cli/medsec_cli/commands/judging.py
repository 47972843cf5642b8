"""`medsec verify` and `medsec report`: judging hosts, and showing what was kept of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import click

from medsec.catalogue.controls import Control, Kind
from medsec.catalogue.standards import load_standards
from medsec.errors import UsageError
from medsec.evidence.reading import Run, list_runs, load_run
from medsec.inventory import Host, Inventory
from medsec.inventory.local import local_inventory
from medsec.inventory.waivers import Waivers, load_waivers
from medsec.judge.local import LocalTransport
from medsec.judge.ssh import SshTransport
from medsec.judge.transport import Limits, Transport
from medsec.judge.verifying import verify as verify_hosts
from medsec.resources import root
from medsec.text import Language, says
from medsec_cli.language import Say
from medsec_cli.options import chosen_controls, control_options, site, site_options
from medsec_cli.output import compile_query, output_options, write
from medsec_cli.progress import progress


def commands(say: Say, language: Language) -> Iterator[click.Command]:
    """Yield the commands `verify` and `report`."""

    @click.command(
        "verify",
        help=say(
            says(
                en="Judge hosts; reads only. With `local`: this machine, without an inventory.",
                zh="核查主机，只读。加 `local` 则核查本机，无需主机清单。",
            )
        ),
    )
    @click.argument("what", required=False, type=click.Choice(["local"]), metavar="[local]")
    @site_options(say)
    @control_options(say)
    @output_options(say)
    @click.option("--forks", type=click.IntRange(1, 500), default=20, show_default=True)
    @click.option(
        "--retries",
        type=click.IntRange(0, 10),
        default=1,
        show_default=True,
        help=say(
            says(
                en="Tries more for a host whose link fails, after the others.", zh="线路中断的主机最后重试的次数。"
            )
        ),
    )
    @click.option(
        "--resume",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="RUN",
        help=say(
            says(
                en="Go on with a run that was cut short; judges the hosts that it has no whole result of.",
                zh="继续被中断的核查，只核查尚无完整结果的主机。",
            )
        ),
    )
    @click.option(
        "--command-timeout", type=click.FloatRange(1, 3600), default=60.0, show_default=True, metavar="SECONDS"
    )
    @click.option(
        "--kind",
        type=click.Choice(get_args(Kind)),
        default="terminal",
        show_default=True,
        help=say(says(en="With `local`: what this machine is.", zh="与 `local` 连用：本机类型。")),
    )
    @click.option(
        "--runs",
        "products",
        multiple=True,
        metavar="PRODUCT",
        help=say(
            says(
                en="With `local`: what it runs, as postgresql.",
                zh="与 `local` 连用：本机运行的产品，如 postgresql。",
            )
        ),
    )
    def verify(what: str | None, **given: Any) -> int:
        query = compile_query(given["query"])
        resume = given["resume"]
        if resume is not None:
            begun = _begun(resume, local=what == "local")
            given |= {"limit": given["limit"] or begun[0]}
            if not (given["controls"] or given["items"] or given["tags"]):
                given |= {"controls": begun[1]}
        catalogue, chosen = chosen_controls(given["controls"], given["items"], given["tags"])
        limits = Limits(command=given["command_timeout"])
        transport: Transport
        if what == "local":
            inventory = local_inventory(given["kind"], given["products"])
            hosts, transport = list(inventory.hosts.values()), LocalTransport(limits)
        else:
            inventory, hosts = site(given["inventory"], given["limit"], catalogue)
            transport = SshTransport(limits)
        waivers = load_waivers(inventory, catalogue)
        run = judged(
            inventory,
            hosts,
            chosen,
            transport=transport,
            forks=given["forks"],
            retries=given["retries"],
            waivers=waivers,
            limits=limits,
            resume=resume,
        )
        write(run, given["forms"], query, language)
        return run.conclusion.exit_code

    @click.command("report", help=say(says(en="Show a run that was kept.", zh="查看已保存的核查记录。")))
    @click.argument("folder", required=False, type=click.Path(path_type=Path), metavar="[RUN]")
    @output_options(say)
    def report(folder: Path | None, forms: list[tuple[str, Path | None]], query: str | None) -> int:
        compiled = compile_query(query)
        found = folder or _latest(say)
        run = load_run(found)
        write(run, forms, compiled, language)
        return run.conclusion.exit_code

    yield from (verify, report)


def judged(
    inventory: Inventory,
    hosts: Sequence[Host],
    controls: Sequence[Control],
    *,
    transport: Transport,
    forks: int,
    waivers: Waivers,
    limits: Limits,
    retries: int = 1,
    resume: Path | None = None,
) -> Run:
    """Judge with live progress, keeping the run below the present folder."""
    with progress(len(hosts)) as shown:
        return verify_hosts(
            inventory,
            hosts,
            controls,
            site=Path.cwd(),
            standards=load_standards(root() / "standards"),
            catalogue=root(),
            argv=sys.argv[1:],
            transport=transport,
            forks=forks,
            retries=retries,
            waivers=waivers,
            limits=limits,
            resume=resume,
            on_host=lambda host: shown.show(host, step=1),
        )


def _begun(run: Path, *, local: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the hosts and controls that a run set out to judge. Raises UsageError for one that has no inventory."""
    header = load_run(run).header
    if local or not header.registered:
        raise UsageError(
            says(
                en=f"{run}: --resume is for a fleet; one machine is verified again by `medsec verify local`",
                zh=f"{run}：--resume 用于多台主机；单机请直接重新执行 `medsec verify local`",
            )
        )
    return tuple(host.name for host in header.hosts), tuple(control.id for control in header.controls)


def _latest(say: Say) -> Path:
    found = list_runs(Path.cwd())
    if not found:
        raise click.UsageError(
            say(
                says(
                    en="no run is kept here; `medsec verify` makes one",
                    zh="本目录没有核查记录；请先执行 `medsec verify`",
                )
            )
        )
    return found[0]
