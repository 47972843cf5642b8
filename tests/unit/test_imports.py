"""Who may import whom, as the architecture says it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def imported(path: Path) -> Iterator[str]:
    """Yield the modules that the file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


# Where (a glob), what must not be imported there, and why.
RULES = [
    ("medsec/**/*.py", ("click", "medsec_cli"), "the library never renders"),
    ("medsec/operations/**/*.py", ("medsec.probes", "medsec.judge"), "a check that shares code with its remedy proves nothing"),
    ("medsec/probes/**/*.py", ("medsec.operations", "medsec.engines", "pyinfra", "ansible"), "a probe only reads"),
    ("medsec/catalogue/**/*.py", ("medsec.engines", "medsec.judge", "medsec.lab", "ansible", "pyinfra", "paramiko", "testinfra"), "the catalogue is pure"),
    ("medsec/reports/**/*.py", ("medsec.judge", "medsec.engines", "medsec.lab"), "a report is made from a bundle and nothing else"),
    ("medsec/inventory/**/*.py", ("medsec.judge", "medsec.engines", "pyinfra"), "an inventory says who, not how"),
    ("medsec/fleet/**/*.py", ("medsec.judge", "medsec.engines", "medsec.inventory", "ansible", "pyinfra"), "whose turn it is does not depend on the work"),
    ("roles/*/controls/*/check.py", ("medsec.operations", "medsec.engines", "pyinfra", "ansible"), "a check asks the host"),
    ("roles/*/controls/*/deploy.py", ("medsec.probes", "medsec.judge", "testinfra"), "a remedy does not judge itself"),
    ("cli/**/*.py", ("paramiko", "pyinfra", "ansible", "testinfra"), "the command line calls the library"),
]  # fmt: skip


@pytest.mark.parametrize(("where", "forbidden", "why"), RULES, ids=[rule[0] for rule in RULES])
def test_nobody_imports_what_he_may_not(where: str, forbidden: tuple[str, ...], why: str) -> None:
    files = sorted(ROOT.glob(where))
    assert files, f"{where} matches no file: the rule guards nothing"
    breaches = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files
        for module in imported(path)
        if any(module == name or module.startswith(name + ".") for name in forbidden)
    ]
    assert not breaches, f"{why}: {breaches}"


def test_no_control_imports_another_control() -> None:
    breaches = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in ROOT.glob("roles/*/controls/*/*.py")
        for module in imported(path)
        if module.startswith("roles")
    ]
    assert not breaches


def test_no_check_reads_a_template() -> None:
    readers = [
        path for path in ROOT.glob("roles/*/controls/*/check.py") if ".j2" in path.read_text(encoding="utf-8")
    ]
    assert not readers, "a check that reads what the remedy writes proves nothing"


def test_the_rule_sees_an_import_inside_a_function(tmp_path: Path) -> None:
    file = tmp_path / "late.py"
    file.write_text("def f():\n    from click import echo\n", encoding="utf-8")
    assert "click" in set(imported(file))
