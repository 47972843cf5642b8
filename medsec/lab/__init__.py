"""Disposable hosts behind SSH: a small clinic that is made in seconds and taken away without a trace."""

from __future__ import annotations

from medsec.lab.errors import LabError, LabUnavailable
from medsec.lab.host import LabHost
from medsec.lab.lab import HostStatus, Lab

__all__ = ["HostStatus", "Lab", "LabError", "LabHost", "LabUnavailable"]
