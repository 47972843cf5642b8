"""Hardens the hosts of a clinic on the medical-insurance private network, and proves it."""

from __future__ import annotations

__version__ = "0.1.0"
