"""What a host is told that controls may touch there, in the words of guard.sh."""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path

from medsec.catalogue.controls import Control
from medsec.catalogue.patterns import depth, prefix, regex
from medsec.errors import UsageError
from medsec.inventory import Params
from medsec.text import says

_ANY_DEPTH = 64


def spec(controls: Iterable[tuple[Control, Params]]) -> str:
    """Return the lines that tell `guard.sh save` what `controls` may touch with their parameters.

    A control whose folder has a `scope.py` tells on the host itself which files it would change outside /etc; every
    other one is taken at its `touches`. Raises UsageError where a scope cannot be loaded.
    """
    return "".join(f"{line}\n" for control, params in controls for line in _lines(control, params))


def _lines(control: Control, params: Params) -> Iterator[str]:
    scoped = control.scope_path.is_file()
    if scoped:
        script = base64.b64encode(_scope(control.scope_path, params).encode()).decode("ascii")
        yield f"scope\t{control.id}\t{script}"
    for pattern in control.touches.files:
        # Settings are small wherever they lie below /etc; it is the rest that a scope narrows down.
        if not scoped or pattern.startswith("/etc/"):
            levels = depth(pattern)
            yield f"find\t{control.id}\t{prefix(pattern)}\t{_ANY_DEPTH if levels is None else levels}\t{regex(pattern)}"
    yield from (f"unit\t{control.id}\t{unit}" for unit in control.touches.units)
    yield from (f"package\t{control.id}\t{package}" for package in control.touches.packages)
    yield from (f"account\t{control.id}\t{account}" for account in control.touches.accounts)


def _scope(path: Path, params: Params) -> str:
    description = importlib.util.spec_from_file_location(f"medsec_scope_{path.parent.name}", path)
    if description is None or description.loader is None:
        raise UsageError(says(en=f"{path}: cannot be loaded as Python", zh=f"{path}：无法作为 Python 模块加载"))
    module = importlib.util.module_from_spec(description)
    description.loader.exec_module(module)
    script = module.scope(params)
    if not isinstance(script, str) or not script.strip():
        raise UsageError(
            says(
                en=f"{path}: scope() must return a shell script, got {script!r}",
                zh=f"{path}：scope() 须返回 shell 脚本，实际为 {script!r}",
            )
        )
    return script
