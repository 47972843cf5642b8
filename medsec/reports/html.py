"""A run as one HTML page: no other file, no script, nothing from the network; it prints on A4."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jinja2

from medsec.evidence.conclusion import ItemVerdict
from medsec.evidence.findings import Finding, Verdict
from medsec.evidence.plain import plain
from medsec.evidence.reading import Run, Stored
from medsec.evidence.redaction import redacted
from medsec.reports.folding import named
from medsec.reports.overview import (
    SEVERITY_ORDER,
    conclusion_words,
    overview,
    warnings,
    why_exit,
)
from medsec.reports.words import ITEM_CLASSES, ITEM_VERDICTS, KINDS, SEVERITIES, VERDICTS
from medsec.text import Language, Text


@dataclass(frozen=True)
class Amounts:
    """How much evidence the page carries; all of it stays in the run's folder."""

    # Characters of one output of one command.
    output: int = 4000
    # Findings that pass carry their evidence only up to this many of them.
    passes: int = 1500


def html_report(run: Run, language: Language, *, amounts: Amounts | None = None) -> str:
    """Return the page in `language`.

    Raises RunDamaged when evidence was changed after the run: a page that could not be proven is not made.
    """
    amounts = amounts or Amounts()
    view = overview(run)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("medsec.reports", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["owner"] = lambda host: run.hosts[host].owner
    say = _speaker(language)
    with_passes = run.conclusion.counts[Verdict.PASS] <= amounts.passes
    return environment.get_template("report.html.j2").render(
        lang=language,
        t=lambda zh, en: zh if language == "zh" else en,
        say=say,
        view=view,
        run=run,
        header=run.header,
        conclusion=run.conclusion,
        headline=conclusion_words(view),
        why_exit=why_exit(view),
        warnings=warnings(view),
        Verdict=Verdict,
        ItemVerdict=ItemVerdict,
        severities=SEVERITY_ORDER,
        severity_words=SEVERITIES,
        verdict_words=VERDICTS,
        item_words=ITEM_VERDICTS,
        kind_words=KINDS,
        class_words=ITEM_CLASSES,
        matrix_items=[item for item in run.items if view.items[item] is not ItemVerdict.NOT_COVERED],
        by_control=_by_control(run),
        with_passes=with_passes,
        evidence=run.evidence,
        shown=lambda text: _shown(text, amounts.output),
        command=lambda record: _shown(record.command, amounts.output),
        named=lambda names, most: named(names, language, most=most),
        applicable=_applicable(run),
        anchor=_anchor,
        local=lambda moment: moment.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        tone=_tone,
    )


def _speaker(language: Language) -> Callable[[Any], str]:
    def say(words: Any) -> str:
        text: Text = words if isinstance(words, Text) else words.text
        return redacted(plain(text.in_language(language)))

    return say


def _by_control(run: Run) -> dict[str, list[Stored]]:
    grouped: dict[str, list[Stored]] = {control: [] for control in run.controls}
    for entry in run.stored:
        grouped[entry.finding.control].append(entry)
    return grouped


def _applicable(run: Run) -> dict[str, int]:
    """Count the hosts that each control speaks of."""
    counts = dict.fromkeys(run.controls, len(run.hosts))
    for finding in run.findings:
        counts[finding.control] -= finding.verdict in {Verdict.NOT_APPLICABLE, Verdict.NOT_SELECTED}
    return counts


def _shown(text: str, most: int) -> str:
    """Return a host's output, made safe and short enough to read."""
    safe = plain(text)
    if len(safe) <= most:
        return safe
    head, tail = safe[: most * 3 // 4], safe[-most // 4 :]
    return f"{head}\n[... {len(safe) - len(head) - len(tail)} ...]\n{tail}"


def _anchor(finding: Finding) -> str:
    return f"e-{finding.host}-{finding.control}".replace(" ", "_")


def _tone(verdict: Verdict | ItemVerdict) -> str:
    """Return the class that colours a verdict's word; the word says it without."""
    match verdict.value:
        case "pass" | "conforms":
            return "good"
        case "fail" | "violates":
            return "bad"
        case "part_judged" | "partly" | "waived":
            return "part"
        case "error" | "unreachable" | "undetermined":
            return "open"
        case _:
            return "none"
