"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from medsec.catalogue.controls import Control, Controls, load_controls
from medsec.catalogue.selection import select
from medsec.inventory import Host, Inventory, load_inventory
from medsec.inventory.profile import check_profiles
from medsec.resources import root
from medsec.text import says
from medsec_cli.language import Say

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Command], Command]


def inventory_option(say: Say) -> Decorator[Any]:
    """Add `--inventory`."""
    return click.option(
        "-i",
        "--inventory",
        type=click.Path(path_type=Path),
        default=Path("inventory"),
        show_default=True,
        envvar="MEDSEC_INVENTORY",
        help=say(says(en="The site's folder with hosts.yml.", zh="本单位主机清单所在目录（含 hosts.yml）。")),
    )


def site_options(say: Say) -> Decorator[Any]:
    """Add `--inventory` and `--limit`."""

    def decorate(command: Command) -> Command:
        command = click.option(
            "--limit",
            "limit",
            multiple=True,
            metavar="PATTERN",
            help=say(says(en="Hosts or groups; globs and !name work.", zh="主机或主机组，可用通配符与 !名称。")),
        )(command)
        decorated: Command = inventory_option(say)(command)
        return decorated

    return decorate


def control_options(say: Say) -> Decorator[Any]:
    """Add `--control`, `--item` and `--tag`."""

    def decorate(command: Command) -> Command:
        for name, text in (
            ("tag", says(en="Controls of a family, item or id.", zh="按类别、检查项或编号选择控制项。")),
            ("item", says(en="Controls of an inspected item, as NW-10.", zh="按检查项选择，如 NW-10。")),
            ("control", says(en="A control by its id.", zh="按编号选择控制项。")),
        ):
            command = click.option(f"--{name}", f"{name}s", multiple=True, metavar=name.upper(), help=say(text))(
                command
            )
        return command

    return decorate


def site(inventory: Path, limit: tuple[str, ...], catalogue: Controls) -> tuple[Inventory, list[Host]]:
    """Return the inventory, its profiles checked against the whole catalogue, and the hosts that `--limit` leaves."""
    found = load_inventory(inventory)
    check_profiles(found, catalogue)
    return found, found.limit(limit)


def chosen_controls(
    controls: tuple[str, ...], items: tuple[str, ...], tags: tuple[str, ...]
) -> tuple[Controls, list[Control]]:
    """Return the whole catalogue and the controls that the options name."""
    catalogue = load_controls(root() / "roles")
    return catalogue, select(catalogue, ids=controls, items=items, tags=tags)
