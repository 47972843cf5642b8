"""Harden: the twin of harden.yml. `pyinfra inventory/hosts.py playbooks/harden.py [--data controls=NAME,...]`."""

from __future__ import annotations

from pyinfra import host

from medsec.engines.pyinfra_plain import harden

harden(host)
