"""What can go wrong with the lab."""

from __future__ import annotations

from medsec.errors import MedsecError


class LabError(MedsecError):
    """The lab could not do what was asked of it; the message says which host or file, and what to do next."""


class LabUnavailable(LabError):
    """The lab cannot run on this machine; the message says what to install, or what to use instead."""
