"""The forms in which a run can be had: on the screen or in a file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import jmespath
import jmespath.exceptions

from medsec.errors import UsageError
from medsec.evidence.reading import Run
from medsec.reports.html import html_report
from medsec.reports.json import json_report
from medsec.reports.junit import junit_report
from medsec.reports.summary import summary
from medsec.text import Language, says
from medsec_cli.language import Say

FORMATS: dict[str, Callable[[Run, Language], str]] = {
    "text": lambda run, language: "\n".join(summary(run, language)) + "\n",
    "json": lambda run, language: json.dumps(json_report(run), ensure_ascii=False, indent=1) + "\n",
    "junit": junit_report,
    "html": html_report,
}


class Form(click.ParamType[tuple[str, Path | None]]):
    """`FORMAT` for the screen, or `FORMAT=FILE`."""

    name = "format"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return f"[{'|'.join(FORMATS)}][=FILE]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path | None]:
        if isinstance(value, tuple):
            return value
        form, _, file = str(value).partition("=")
        if form not in FORMATS:
            self.fail(f"{form!r}: {', '.join(FORMATS)}", param, ctx)
        path = Path(file) if file else None
        if path is not None and not path.absolute().parent.is_dir():
            self.fail(f"{path}: {path.absolute().parent} ?", param, ctx)
        return form, path


def output_options(say: Say) -> Callable[[Any], Any]:
    """Add `--format` and `--query`."""

    def decorate(command: Any) -> Any:
        command = click.option(
            "--query",
            metavar="JMESPATH",
            help=say(says(en="Print this part of the JSON instead.", zh="只输出 JSON 中的这一部分。")),
        )(command)
        return click.option(
            "-f",
            "--format",
            "forms",
            type=Form(),
            multiple=True,
            default=["text"],
            help=say(
                says(
                    en="Form of the result, on the screen or in a file; may be repeated.",
                    zh="结果格式，输出到屏幕或文件；可多次使用。",
                )
            ),
        )(command)

    return decorate


def compile_query(query: str | None) -> Any:
    """Return the compiled JMESPath expression, or None; raises UsageError before any host is asked."""
    if query is None:
        return None
    try:
        return jmespath.compile(query)
    except jmespath.exceptions.JMESPathError as error:
        raise UsageError(
            says(en=f"--query {query!r}: {error}", zh=f"--query {query!r} 不是有效的 JMESPath：{error}")
        ) from error


def write(run: Run, forms: list[tuple[str, Path | None]], query: Any, language: Language) -> None:
    """Write `run` in each of `forms`, or only what `query` finds in it."""
    if query is not None:
        found = query.search(json_report(run))
        click.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    for form, path in forms:
        text = FORMATS[form](run, language)
        if path is None:
            click.echo(text.rstrip("\n"))
        else:
            _write_file(path, text)


def _write_file(path: Path, text: str) -> None:
    try:
        # It names what is weak, so it is the operator's alone until he hands it on.
        with os.fdopen(
            os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8"
        ) as stream:
            stream.write(text)
    except OSError as error:
        raise UsageError(
            says(en=f"{path} cannot be written: {error.strerror}", zh=f"无法写入 {path}：{error.strerror}")
        ) from error
