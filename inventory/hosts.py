"""The hosts of hosts.yml, for plain pyinfra: `pyinfra inventory/hosts.py playbooks/harden.py`."""

from __future__ import annotations

from pathlib import Path

from medsec.engines.pyinfra_plain import hosts

site = hosts(Path(__file__).resolve().parent)
