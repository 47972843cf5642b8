"""A run as one JSON document. `docs/results.md` documents the schema."""

from __future__ import annotations

from typing import Any, Final

from medsec.evidence.encoding import finding_json, record_json
from medsec.evidence.reading import Run, Stored
from medsec.reports.overview import Overview, due, overview

SCHEMA: Final = "medsec.results/1"


def json_report(run: Run, *, evidence: bool = True) -> dict[str, Any]:
    """Return `run` as a value for `json.dumps`, ready for a JMESPath query.

    With `evidence`, each finding carries its commands and their outputs; RunDamaged is raised when one was changed.
    """
    view = overview(run)
    return {
        "schema": SCHEMA,
        "run": run.header.model_dump(
            mode="json", by_alias=True, exclude={"hosts", "controls", "items", "schema_"}
        ),
        "complete": run.conclusion.complete,
        "exit_code": run.conclusion.exit_code,
        "totals": _totals(view),
        "items": _items(view),
        "hosts": _hosts(view),
        "controls": [control.model_dump(mode="json") for control in run.header.controls],
        "findings": [_finding(view, entry, evidence) for entry in run.stored],
        "missing": [{"host": host, "control": control} for host, control in view.missing],
    }


def _totals(view: Overview) -> dict[str, Any]:
    conclusion = view.run.conclusion
    return {
        "planned": conclusion.planned,
        "applicable": conclusion.applicable,
        "judged": conclusion.judged,
        "missing": len(view.missing),
        "verdicts": {verdict.value: count for verdict, count in conclusion.counts.items()},
        "failures_by_severity": view.severities,
        "hosts": len(view.run.hosts),
        "hosts_judged": len(view.hosts_judged),
        "items": len(view.items),
        "items_covered": view.items_covered,
    }


def _items(view: Overview) -> list[dict[str, Any]]:
    cells: dict[str, dict[str, str]] = {}
    for (host, item), verdict in view.run.conclusion.cells.items():
        cells.setdefault(item, {})[host] = verdict.value
    return [
        {
            **facts.model_dump(mode="json"),
            "verdict": view.items[item].value,
            "controls": [control.id for control in view.run.controls.values() if control.item == item],
            "hosts": cells.get(item, {}),
        }
        for item, facts in view.run.items.items()
    ]


def _hosts(view: Overview) -> list[dict[str, Any]]:
    identities, finished = view.run.identities, view.run.host_finished
    rows = []
    for name, facts in view.run.hosts.items():
        identity = identities.get(name)
        rows.append(
            {
                **facts.model_dump(mode="json"),
                "judged": name in view.hosts_judged,
                "finished": finished[name].isoformat() if name in finished else None,
                "tries": view.run.tries.get(name),
                "identity": identity.model_dump(mode="json") if identity is not None else None,
            }
        )
    return rows


def _finding(view: Overview, entry: Stored, evidence: bool) -> dict[str, Any]:
    finding = entry.finding
    control = view.run.controls[finding.control]
    failed = finding.verdict.value == "fail"
    return finding_json(finding) | {
        "severity": control.severity,
        "owner": view.run.hosts[finding.host].owner,
        "due": due(view.run, finding).isoformat() if failed else None,
        "evidence_file": entry.evidence_file,
        "evidence_sha256": entry.evidence_sha256,
        "evidence": [record_json(record) for record in view.run.evidence(entry)] if evidence else None,
    }
