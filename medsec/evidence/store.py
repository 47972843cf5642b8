"""Writing a run's folder: as findings come, so that what was seen outlives whatever stops the run."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from medsec.errors import UsageError
from medsec.evidence.encoding import finding_json, record_json
from medsec.evidence.findings import Finding
from medsec.evidence.run import IdentityFacts, RunHeader
from medsec.text import says

HEADER, FINDINGS, HOSTS, EVIDENCE = "run.json", "findings.jsonl", "hosts.jsonl", "evidence"


def new_run_id(now: datetime | None = None) -> str:
    """Return an id that sorts by time, as `20251122T021500Z-3f9a1c`."""
    return f"{(now or datetime.now(UTC)).strftime('%Y%m%dT%H%M%SZ')}-{secrets.token_hex(3)}"


class RunStore:
    """The folder of one run, readable by its owner alone.

    run.json (the header), findings.jsonl (one finding a line), hosts.jsonl (one line when a host is done), and
    evidence/<host>/<control>.json. A finding's line names its evidence and the SHA-256 of that file. As long as it is
    open, nobody else can open it for writing: hosts.jsonl is locked, and the lock goes with the process.
    """

    path: Path
    _header: RunHeader
    _findings: IO[str]
    _hosts: IO[str]

    def __init__(self, site: Path, header: RunHeader) -> None:
        """Make `site/runs/<id>` and write the header. Raises FileExistsError when the run is there already."""
        runs = site / "runs"
        runs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = runs / header.id
        self.path.mkdir(mode=0o700)
        self._put_header(header)
        self._open()

    @classmethod
    def reopen(cls, path: Path) -> RunStore:
        """Open the folder of a run that was cut short. Raises UsageError when another process writes to it."""
        store = cls.__new__(cls)
        store.path = path
        store._open()
        return store

    def resume(self, header: RunHeader, keep: Collection[str]) -> None:
        """Make what was written of other hosts than `keep` unwritten, and `header` the run's.

        Killed at any moment, it can be done again.
        """
        lines = [line for line in _whole_lines(self.path / FINDINGS) if json.loads(line)["host"] in keep]
        self._findings.close()
        _sync(self._write(FINDINGS, b"".join(lines).decode("utf-8")))
        self._findings = self._append_to(FINDINGS)
        self._hosts.truncate(sum(map(len, _whole_lines(self.path / HOSTS))))
        kept = {_file_name(host) for host in keep}
        for folder in (self.path / EVIDENCE).glob("*"):
            if folder.name not in kept:
                shutil.rmtree(folder)
        self._put_header(header)

    def add(self, finding: Finding, parameters: dict[str, Any] | None = None) -> None:
        """Store `finding` and its evidence; `parameters` are those in force for the control on the host."""
        line = finding_json(finding) | {"commands": len(finding.evidence), "evidence": None, "sha256": None}
        if finding.evidence:
            name = f"{EVIDENCE}/{_file_name(finding.host)}/{finding.control}.json"
            data = _json(
                {
                    "host": finding.host,
                    "control": finding.control,
                    "parameters": parameters or {},
                    "commands": [record_json(record) for record in finding.evidence],
                }
            )
            self._write(name, data)
            line |= {"evidence": name, "sha256": hashlib.sha256(data.encode()).hexdigest()}
        self._findings.write(_json(line) + "\n")
        self._findings.flush()

    def host_done(self, host: str, identity: IdentityFacts | None, *, tries: int = 1) -> None:
        """Store who the host was and how many logins it took, and put its findings on the disk before that.

        Killing the program loses nothing. A power cut may lose evidence files that the kernel had not written yet;
        the findings carry their digests, so a loss is seen (`medsec.evidence.reading.Run.evidence`), and a run that is
        resumed judges such a host again.
        """
        value = None if identity is None else identity.model_dump(mode="json")
        line = {"host": host, "identity": value, "tries": tries, "finished": datetime.now(UTC).isoformat()}
        os.fsync(self._findings.fileno())
        self._hosts.write(_json(line) + "\n")
        self._hosts.flush()
        os.fsync(self._hosts.fileno())

    def finish(self) -> None:
        """Write into the header that the run reached its end."""
        self.close()
        self._put_header(self._header.model_copy(update={"finished": datetime.now(UTC)}))

    def close(self) -> None:
        """Put everything on the disk; a run that is closed and not finished was cut short."""
        for stream in (self._findings, self._hosts):
            if not stream.closed:
                stream.flush()
                os.fsync(stream.fileno())
                # By name: a program that is just being started holds a copy of the file, and with it the lock, for a moment.
                fcntl.flock(stream, fcntl.LOCK_UN)
                stream.close()

    def _put_header(self, header: RunHeader) -> None:
        self._header = header
        _sync(self._write(HEADER, header.model_dump_json(by_alias=True, indent=1)))

    def _open(self) -> None:
        self._findings = self._append_to(FINDINGS)
        self._hosts = self._append_to(HOSTS)
        try:
            fcntl.flock(self._hosts, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._findings.close()
            self._hosts.close()
            raise UsageError(
                says(
                    en=f"{self.path}: another process is writing this run; wait until it ends",
                    zh=f"{self.path}：另一个进程正在写入该次运行；请等其结束",
                )
            ) from None

    def _append_to(self, name: str) -> IO[str]:
        flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY
        return os.fdopen(os.open(self.path / name, flags, 0o600), "a", encoding="utf-8")

    def _write(self, name: str, text: str) -> Path:
        """Write a whole file or none of it, and return its path."""
        path = self.path / name
        for folder in reversed(path.relative_to(self.path).parents[:-1]):
            (self.path / folder).mkdir(mode=0o700, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY
        with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as stream:
            stream.write(text)
        temporary.replace(path)
        return path


def _whole_lines(path: Path) -> list[bytes]:
    """Return the lines of a file without the last one, where that was cut short."""
    return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _file_name(host: str) -> str:
    """Return a file name for `host`: as it is where it is made of letters and digits, which may be Chinese."""
    name = "".join(char if char.isalnum() or char in "-_." else quote(char, safe="") for char in host)
    return f"%2E{name[1:]}" if name.startswith(".") else name


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
