"""Reading a run's folder back: what every report is made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from medsec.errors import MedsecError
from medsec.evidence.conclusion import Conclusion, conclude
from medsec.evidence.encoding import finding_from, record_from
from medsec.evidence.findings import CommandRecord, Finding
from medsec.evidence.run import ControlFacts, HostFacts, IdentityFacts, ItemFacts, RunHeader
from medsec.evidence.store import FINDINGS, HEADER, HOSTS
from medsec.text import says


class RunDamaged(MedsecError):
    """A run's folder is not what the run wrote."""


@dataclass(frozen=True)
class Stored:
    """A finding as it lies in a run's folder; its evidence stays on the disk."""

    finding: Finding
    commands: int
    evidence_file: str | None
    evidence_sha256: str | None


@dataclass(frozen=True)
class Run:
    """A run, read from its folder."""

    path: Path
    header: RunHeader
    stored: list[Stored]
    identities: dict[str, IdentityFacts | None]
    host_finished: dict[str, datetime]
    # How often each host was logged in to, or tried to be.
    tries: dict[str, int] = field(default_factory=dict)

    @property
    def findings(self) -> list[Finding]:
        return [entry.finding for entry in self.stored]

    @cached_property
    def conclusion(self) -> Conclusion:
        remainders = {
            item.id: frozenset(host.name for host in self.header.hosts if host.kind in item.applies_to)
            for item in self.header.items
            if item.remainder
        }
        return conclude(self.findings, planned=self.header.planned, remainders=remainders)

    @cached_property
    def hosts(self) -> dict[str, HostFacts]:
        return {host.name: host for host in self.header.hosts}

    @cached_property
    def controls(self) -> dict[str, ControlFacts]:
        return {control.id: control for control in self.header.controls}

    @cached_property
    def items(self) -> dict[str, ItemFacts]:
        return {item.id: item for item in self.header.items}

    @property
    def finished(self) -> bool:
        return self.header.finished is not None

    def complete_hosts(self) -> set[str]:
        """Return the hosts that are done, with a finding for every control and all of its proof as it was written."""
        left = {host: len(self.header.controls) for host in self.host_finished}
        for entry in self.stored:
            if entry.finding.host in left and self._proved(entry):
                left[entry.finding.host] -= 1
        return {host for host, missing in left.items() if missing == 0}

    def _proved(self, entry: Stored) -> bool:
        try:
            self.evidence(entry)
        except RunDamaged:
            return False
        return True

    def evidence(self, entry: Stored) -> list[CommandRecord]:
        """Return the commands behind a finding. Raises RunDamaged when the file is not the one that was written."""
        if entry.evidence_file is None:
            return []
        path = self.path / entry.evidence_file
        data = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(data).hexdigest() != entry.evidence_sha256:
            raise RunDamaged(
                says(
                    en=f"{path}: is missing or was changed after the run; the finding has no proof. Verify again",
                    zh=f"{path}：文件缺失或在检查之后被改动，该结论失去佐证。请重新核查",
                )
            )
        return [record_from(record) for record in json.loads(data)["commands"]]


def load_run(path: Path) -> Run:
    """Return the run in the folder `path`, finished or cut short.

    Raises RunDamaged when it is not a run's folder, or when a finding speaks of what the run did not set out to judge.
    """
    header = _header(path / HEADER)
    stored = [_stored(path / FINDINGS, value) for value in _lines(path / FINDINGS)]
    hosts, controls = {host.name for host in header.hosts}, {control.id for control in header.controls}
    seen: set[tuple[str, str]] = set()
    for entry in stored:
        pair = (entry.finding.host, entry.finding.control)
        if pair in seen or pair[0] not in hosts or pair[1] not in controls:
            raise _damaged(path / FINDINGS, f"{pair[1]} on {pair[0]} is written twice or was not planned")
        seen.add(pair)
    place = {host.name: index for index, host in enumerate(header.hosts)}
    order = {control.id: index for index, control in enumerate(header.controls)}
    stored.sort(key=lambda entry: (place[entry.finding.host], order[entry.finding.control]))
    identities: dict[str, IdentityFacts | None] = {}
    finished: dict[str, datetime] = {}
    tries: dict[str, int] = {}
    for value in _lines(path / HOSTS):
        identity = value["identity"]
        identities[value["host"]] = None if identity is None else IdentityFacts.model_validate(identity)
        finished[value["host"]] = datetime.fromisoformat(value["finished"])
        tries[value["host"]] = value.get("tries", 1)
    return Run(path, header, stored, identities, finished, tries)


def list_runs(site: Path) -> list[Path]:
    """Return the folders of the site's runs, the newest first."""
    return sorted((path.parent for path in (site / "runs").glob(f"*/{HEADER}")), reverse=True)


def _header(path: Path) -> RunHeader:
    if not path.is_file():
        raise _damaged(path, "is missing")
    try:
        return RunHeader.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise _damaged(path, str(error.errors()[0]["msg"])) from error


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of `path`; a last line without its end was cut short by a crash and is left out."""
    if not path.is_file():
        return
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):
            return
        try:
            yield json.loads(line)
        except ValueError as error:
            raise _damaged(path, f"line {number}: {error}") from error


def _stored(path: Path, value: dict[str, Any]) -> Stored:
    try:
        return Stored(finding_from(value), value["commands"], value["evidence"], value["sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error


def _damaged(path: Path, reason: str) -> RunDamaged:
    return RunDamaged(
        says(
            en=f"{path}: {reason}; it is not what a run of medsec wrote. Name a folder below runs/, or verify again",
            zh=f"{path}：{reason}；该目录不是 medsec 写出的核查记录。请指定 runs/ 下的目录，或重新核查",
        )
    )
