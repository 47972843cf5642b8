"""`medsec statements`: what a database administrator reviews and runs by hand where medsec does not reach."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click

from medsec.columns import table
from medsec.errors import UsageError
from medsec.inventory import load_inventory
from medsec.resources import root
from medsec.statements import Scripts, load_pack, load_packs, scripts, values_for
from medsec.text import Language, says
from medsec_cli.language import Say


def commands(say: Say, language: Language) -> Iterator[click.Command]:
    """Yield the command `statements`."""

    @click.command(
        "statements",
        help=say(
            says(
                en="Write the hardening statements, their undo and the check plan of a database product that medsec does not reach, "
                "for its administrator to review and run by hand. Without PRODUCT, list the products.",
                zh="生成 medsec 不直接操作的数据库产品的加固语句、撤销语句和核查方案，供数据库管理员审阅后手工执行。不带产品编号时列出产品。",
            )
        ),
    )
    @click.argument("product", required=False)
    @click.option(
        "--host",
        metavar="HOST",
        help=say(
            says(
                en="The host of the inventory: its application servers and values.",
                zh="主机清单中的主机，取其应用服务器地址与参数。",
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
    @click.option(
        "--check", is_flag=True, help=say(says(en="Print the check plan instead.", zh="改为输出核查方案。"))
    )
    @click.option(
        "--output",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help=say(says(en="Write all three files into this folder.", zh="将三个文件写入此目录。")),
    )
    def statements(
        product: str | None, host: str | None, inventory: Path, check: bool, output: Path | None
    ) -> None:
        if product is None:
            click.echo(_products(say))
            return
        pack = load_pack(root(), product)
        values = values_for(pack)
        if host is not None:
            site = load_inventory(inventory)
            if host not in site.hosts:
                site.limit([host])  # says which hosts there are
                raise click.UsageError(say(says(en="--host names one host.", zh="--host 只接受一台主机。")))
            values = values_for(pack, site.hosts[host], site.ledger)
        made = scripts(pack, values, language)
        if output is None:
            click.echo(made.check if check else made.harden, nl=False)
            return
        for path in _write(output, "-".join(filter(None, (host, product))), made):
            click.echo(path)

    yield statements


def _products(say: Say) -> str:
    heads = [
        says(en="product", zh="编号"),
        says(en="name", zh="产品"),
        says(en="statements", zh="语句"),
        says(en="queries", zh="核查"),
        says(en="state", zh="状态"),
    ]
    unproven = say(says(en="not proven on a live server", zh="未在真实服务器上验证"))
    rows = [
        [
            product,
            say(pack.title.text),
            str(len(pack.statements) + len(pack.files)),
            str(len(pack.queries)),
            unproven,
        ]
        for product, pack in load_packs(root()).items()
    ]
    return table([say(head) for head in heads], rows)


def _write(folder: Path, name: str, made: Scripts) -> Iterator[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for kind, text in (("harden", made.harden), ("undo", made.undo), ("check", made.check)):
            path = folder / f"{name}-{kind}.sql"
            # They tell accounts and addresses.
            with os.fdopen(
                os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8"
            ) as file:
                file.write(text)
            yield path
    except OSError as error:
        raise UsageError(
            says(en=f"{folder} cannot be written: {error.strerror}", zh=f"无法写入 {folder}：{error.strerror}")
        ) from error
