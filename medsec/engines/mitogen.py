"""Mitogen, where a site chooses it: one Python process on each host that does all tasks of a run, instead of one for each."""

from __future__ import annotations

import configparser
from importlib.util import find_spec
from pathlib import Path

from medsec.errors import UsageError
from medsec.text import says

STRATEGIES = ("mitogen_free", "mitogen_host_pinned", "mitogen_linear")


def environment(config: Path) -> dict[str, str]:
    """Return what lets Ansible use the strategy of Mitogen's that the site's `ansible.cfg` names, if it names one.

    Raises UsageError for a name that Mitogen has not, and where Mitogen is not installed.
    """
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(config, encoding="utf-8")
    chosen = parser.get("defaults", "strategy", fallback="").strip()
    if not chosen.startswith("mitogen"):
        return {}
    if chosen not in STRATEGIES:
        accepted = ", ".join(STRATEGIES)
        raise UsageError(
            says(
                en=f"{config}: strategy = {chosen}; accepted of Mitogen's: {accepted}",
                zh=f"{config}：strategy = {chosen}；Mitogen 的策略仅接受：{accepted}",
            )
        )
    found = find_spec("ansible_mitogen")
    if found is None or found.origin is None:
        raise UsageError(
            says(
                en=f"{config}: strategy = {chosen}, and Mitogen is not installed; `pip install 'medsec[mitogen]'`, "
                "or take the line out",
                zh=f"{config}：strategy = {chosen}，但未安装 Mitogen；请执行 `pip install 'medsec[mitogen]'`，或删除该行",
            )
        )
    plugins = Path(found.origin).parent / "plugins/strategy"
    return {"ANSIBLE_STRATEGY": chosen, "ANSIBLE_STRATEGY_PLUGINS": str(plugins)}
