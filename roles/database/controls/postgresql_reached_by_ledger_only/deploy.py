"""Narrows each running server's rules to what the ledger registers, unless that would cut off whom it must not."""

from __future__ import annotations

from medsec.inventory import Params
from medsec.operations import postgresql


def deploy(params: Params) -> None:
    postgresql.nobody_cut_off(name="Require that nobody is cut off who must not be", params=params)
    postgresql.rules_narrowed(name="Write the rules, narrowed to the ledger's addresses", params=params)
    postgresql.reach_in_effect(
        name="Make the rules take effect, by a restart where the server listens for nobody", params=params
    )
