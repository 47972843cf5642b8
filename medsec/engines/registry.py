"""The engines that there are, by their names."""

from __future__ import annotations

from medsec.engines.ansible import AnsibleEngine
from medsec.engines.base import Engine
from medsec.engines.pyinfra import PyinfraEngine
from medsec.errors import UsageError
from medsec.text import says


def engine(name: str) -> Engine:
    """Return the engine called `name`: "ansible" or "pyinfra". Raises UsageError for any other name."""
    engines: dict[str, type[Engine]] = {"ansible": AnsibleEngine, "pyinfra": PyinfraEngine}
    if name not in engines:
        raise UsageError(
            says(
                en=f"unknown engine {name!r}; accepted: {', '.join(engines)}",
                zh=f"未知的执行引擎 {name!r}；可用：{'、'.join(engines)}",
            )
        )
    return engines[name]()
