"""Command lines that run a role's shell scripts, which are never left on the host. Needs no engine, so that the guard can ask too."""

from __future__ import annotations

import shlex

from medsec.resources import root


def script(family: str, *names: str, arguments: tuple[str, ...]) -> str:
    """Return the command line that runs the last of a role's `files`, with the others' text before it."""
    parts = [(root() / "roles" / family / "files" / name).read_text(encoding="utf-8") for name in names]
    return shlex.join(["sh", "-c", "".join(parts), names[-1], *arguments])


def pgaudit(*arguments: str) -> str:
    """Return the command line that runs the role's `pgaudit.sh`."""
    return script("database", "postgresql.sh", "pgaudit.sh", arguments=arguments)


def pghba(*arguments: str) -> str:
    """Return the command line that runs the role's `pghba.sh`."""
    return script("database", "postgresql.sh", "pghba.sh", arguments=arguments)


def pgadministrators(*arguments: str) -> str:
    """Return the command line that runs the role's `pgadministrators.sh`."""
    return script("database", "postgresql.sh", "pgadministrators.sh", arguments=arguments)


def pgpasswords(*arguments: str) -> str:
    """Return the command line that runs the role's `pgpasswords.sh`."""
    return script("database", "postgresql.sh", "pgpasswords.sh", arguments=arguments)


def pgtls(*arguments: str) -> str:
    """Return the command line that runs the role's `pgtls.sh`."""
    return script("database", "postgresql.sh", "pgtls.sh", arguments=arguments)
