"""Findings and evidence as JSON, and back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from medsec.evidence.findings import CommandRecord, Finding, Verdict, WaiverNote
from medsec.evidence.redaction import redacted
from medsec.text import says


def finding_json(finding: Finding) -> dict[str, Any]:
    """Return `finding` without its evidence."""
    waiver = finding.waiver
    return {
        "host": finding.host,
        "control": finding.control,
        "item": finding.item,
        "verdict": finding.verdict.value,
        "text": {"zh": redacted(finding.text.zh), "en": redacted(finding.text.en)},
        "started": finding.started.isoformat(),
        "seconds": finding.seconds,
        "waiver": None
        if waiver is None
        else {
            "reason": waiver.reason,
            "owner": waiver.owner,
            "approver": waiver.approver,
            "compensation": list(waiver.compensation),
            "expires": waiver.expires,
            "state": waiver.state,
        },
    }


def finding_from(value: dict[str, Any], evidence: Iterable[CommandRecord] = ()) -> Finding:
    """Return the finding that `finding_json` wrote, with `evidence` added."""
    waiver = value["waiver"]
    return Finding(
        host=value["host"],
        control=value["control"],
        item=value["item"],
        verdict=Verdict(value["verdict"]),
        text=says(zh=value["text"]["zh"], en=value["text"]["en"]),
        started=datetime.fromisoformat(value["started"]),
        seconds=value["seconds"],
        evidence=list(evidence),
        waiver=None if waiver is None else WaiverNote(**{**waiver, "compensation": tuple(waiver["compensation"])}),
    )


def record_json(record: CommandRecord) -> dict[str, Any]:
    """Return one command and its answer, secrets left out; the digest is that of the answer as received."""
    return {
        "command": redacted(record.command),
        "rc": record.rc,
        "stdout": redacted(record.stdout),
        "stderr": redacted(record.stderr),
        "started": record.started.isoformat(),
        "seconds": record.seconds,
        "sha256": record.sha256,
        "shortened": record.shortened,
        "once": record.once,
    }


def record_from(value: dict[str, Any]) -> CommandRecord:
    """Return the record that `record_json` wrote."""
    return CommandRecord(**{**value, "started": datetime.fromisoformat(value["started"])})
