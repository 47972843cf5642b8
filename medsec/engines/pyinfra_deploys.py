"""The deploys of controls, loaded from their homes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import util
from pathlib import Path

from medsec.catalogue.controls import Control
from medsec.inventory import Params


def deploy_of(control: Control) -> Callable[[Params], None]:
    """Return the function `deploy` of the control's `deploy.py`."""
    return _load(control.deploy_path)


@cache
def _load(path: Path) -> Callable[[Params], None]:
    spec = util.spec_from_file_location(f"medsec_deploy_{path.parent.name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    deploy: Callable[[Params], None] = module.deploy
    return deploy
