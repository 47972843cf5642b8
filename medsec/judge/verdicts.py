"""The verdicts and findings that the judge gives. Their home is `medsec.evidence`, since reports read them there."""

from __future__ import annotations

from medsec.evidence.findings import CommandRecord, Finding, Verdict, WaiverNote

__all__ = ["CommandRecord", "Finding", "Verdict", "WaiverNote"]
