"""Live progress on a terminal: one line that is written over, and nothing at all where there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from medsec.columns import width

COLUMNS = 100


@dataclass
class Progress:
    """Counts what is done; `show` names what is being done now."""

    total: int
    done: int = 0

    def show(self, what: str, *, step: int = 0) -> None:
        """Count `step` more as done and write the line anew."""
        self.done += step
        if not sys.stderr.isatty():
            return
        filled = 20 * self.done // max(1, self.total)
        line = f"[{'#' * filled}{'-' * (20 - filled)}] {self.done}/{self.total} {what}"
        while width(line) > COLUMNS:
            line = line[:-1]
        click.echo("\r" + line + " " * (COLUMNS - width(line)), nl=False, err=True)


@contextmanager
def progress(total: int) -> Iterator[Progress]:
    """Show progress towards `total`, and leave a clean line behind."""
    shown = Progress(total)
    try:
        yield shown
    finally:
        if sys.stderr.isatty():
            click.echo("\r" + " " * COLUMNS + "\r", nl=False, err=True)
