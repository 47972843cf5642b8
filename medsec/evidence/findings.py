"""What a run says about one control on one host: the verdict, its reason, and the commands that prove it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from medsec.text import Text


class Verdict(StrEnum):
    """The verdicts; only `PASS` is green, and only a check that ran to its end gives it."""

    PASS = "pass"
    FAIL = "fail"
    WAIVED = "waived"
    NOT_APPLICABLE = "not_applicable"
    # The site's profile leaves the control out (`medsec_controls`): nothing was judged and nothing is claimed.
    NOT_SELECTED = "not_selected"
    ERROR = "error"
    UNREACHABLE = "unreachable"

    @property
    def unproven(self) -> bool:
        """Whether the verdict leaves open what the host's state is."""
        return self in (Verdict.ERROR, Verdict.UNREACHABLE)


@dataclass(frozen=True)
class CommandRecord:
    """One command that a check ran on a host, and what came back."""

    command: str
    # None where no exit code came back: the command was stopped, or the connection was lost.
    rc: int | None
    stdout: str
    stderr: str
    started: datetime
    seconds: float
    # Of the whole output (stdout, then stderr) as received, also where the text above was shortened.
    sha256: str
    shortened: bool = False
    # It does something, and was run when it was asked for and never ahead of that.
    once: bool = False


@dataclass(frozen=True)
class WaiverNote:
    """The waiver that a finding met, as it stood on the day of the run."""

    reason: str
    owner: str
    approver: str
    compensation: tuple[str, ...]
    expires: str
    # active | expired | unneeded | refused (what it relies on is not met)
    state: str


@dataclass(frozen=True)
class Finding:
    """The verdict of one control on one host, with the evidence behind it."""

    host: str
    control: str
    item: str
    verdict: Verdict
    text: Text
    started: datetime
    seconds: float
    evidence: list[CommandRecord] = field(default_factory=list, repr=False)
    waiver: WaiverNote | None = None
