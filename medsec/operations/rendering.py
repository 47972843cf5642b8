"""Rendering the templates of `roles/*/templates/` to the bytes that Ansible makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from medsec.errors import UsageError
from medsec.text import says


def render(source: Path, variables: Mapping[str, Any]) -> str:
    """Return the template `source` rendered with `variables`, named `<control>_<parameter>` as for Ansible.

    Raises UsageError naming the template when it is missing, does not parse or uses an undefined variable.
    """
    try:
        return _environment(source.parent).get_template(source.name).render(variables)
    except TemplateError as error:
        line = f":{error.lineno}" if getattr(error, "lineno", None) else ""  # type: ignore[attr-defined]
        known = ", ".join(sorted(variables)) or "-"
        raise UsageError(
            says(
                en=f"{source}{line}: the template does not render: {error}; variables given: {known}",
                zh=f"{source}{line}：模板渲染失败：{error}；已提供的变量：{known}",
            )
        ) from error


@cache
def _environment(folder: Path) -> Environment:
    # What Ansible's template module does and Jinja by itself does not: trim the newline after a block, keep the
    # last newline of the file, refuse undefined variables, write nothing for None.
    return Environment(
        loader=FileSystemLoader(folder),
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        finalize=lambda value: "" if value is None else value,
        autoescape=False,
    )
