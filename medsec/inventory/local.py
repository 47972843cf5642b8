"""An inventory of one: the machine that medsec runs on, which no ledger speaks of."""

from __future__ import annotations

import getpass
import platform
from collections.abc import Iterable
from pathlib import Path

from medsec.catalogue.controls import Control, Kind
from medsec.catalogue.source import Bilingual
from medsec.errors import UsageError
from medsec.inventory.hosts import Host, Inventory, Login
from medsec.inventory.ledger import Ledger, LedgerHost
from medsec.inventory.systems import KNOWN, os_family, os_release
from medsec.text import Text, says

_UNKNOWN = Bilingual(zh="未登记", en="not registered")


def local_inventory(kind: Kind, runs: Iterable[str] = ()) -> Inventory:
    """Return an inventory that holds this machine as a host of `kind` that runs the products `runs`.

    Its ledger is made up only so far as a ledger must be: see `needs_ledger`. Raises UsageError where the machine is
    no Linux of a known family.
    """
    release = _release()
    family = os_family(release)
    if family is None:
        met = release.get("ID") or platform.system()
        raise UsageError(
            says(
                en=f"this machine ({met}) cannot be judged: known systems are {', '.join(KNOWN)} and their likes; "
                "judge other hosts over SSH with `medsec verify --inventory DIR`",
                zh=f"无法核查本机（{met}）：目前支持 {'、'.join(KNOWN)} 及其衍生版；"
                "可用 `medsec verify --inventory DIR` 通过 SSH 核查其他主机",
            )
        )
    name = platform.node() or "localhost"
    entry = LedgerHost(
        kind=kind,
        os_family=family,
        address="127.0.0.1",
        department=_UNKNOWN,
        owner=_UNKNOWN.zh,
        location=_UNKNOWN,
        purpose=_UNKNOWN,
        runs=list(runs),
    )
    ledger = Ledger(
        institution=Bilingual(zh="本机（无台账）", en="This machine (no ledger)"),
        address_sets={"this_machine": ["127.0.0.0/8"]},
        time_sources=["127.0.0.1"],
        hosts={name: entry},
    )
    login = Login(address="127.0.0.1", user=getpass.getuser())
    host = Host(name=name, login=login, groups=(), variables={}, ledger=entry)
    return Inventory(path=Path.cwd(), hosts={name: host}, ledger=ledger, registered=False)


def needs_ledger(control: Control, host: Host) -> Text | None:
    """Return why `control` cannot be judged without a ledger, or None where it can.

    What the ledger alone can tell (registered ports, time sources, what a database server runs) is not guessed: a
    guess would be a verdict that nobody proved.
    """
    product = control.applies_to.runs
    from_ledger = any(parameter.ledger is not None for parameter in control.parameters.values())
    if not from_ledger and (product is None or product in host.ledger.runs):
        return None
    # The same words for every control, so that reports fold them into one line.
    return says(
        en="needs a ledger, which says what should be there; `medsec init DIR` makes one to fill in",
        zh="需要台账说明应有状态，方可判定；可用 `medsec init DIR` 新建后填写",
    )


def _release() -> dict[str, str]:
    for path in (Path("/etc/os-release"), Path("/usr/lib/os-release")):
        if path.is_file():
            return os_release(path.read_text(encoding="utf-8", errors="replace"))
    return {}
