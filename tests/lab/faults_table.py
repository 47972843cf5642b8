"""Writes docs/faults.md from what the fault tests noted: `python -m tests.lab.faults_table NOTES > docs/faults.md`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

HEAD = """\
# Faults and how long people were shut out

Made by `make faults` from `tests/lab/test_faults.py`, `test_controller_killed.py` and `test_clock_jump_vm.py`; edit those, not this. Each fault is made on a real
host during an apply; seconds are the longest stretch in which no fresh login with `sudo` succeeded (a second of it is the
login itself). The revert timer of these runs was 30 s (60 s where the controller was killed); with the default of 90 s, what waits for the
timer takes up to a minute more. The limit is 120 s.

由 `make faults` 根据测试结果生成。每种故障都在整改过程中于真实主机上制造；秒数为无法重新登录并使用 `sudo` 的最长时间，上限 120 秒。

| fault 故障 | Ansible | pyinfra |
|---|---|---|
"""


def main(notes: Path) -> None:
    """Print the table of the file `notes`, one line of JSON for each result."""
    results: dict[str, dict[str, int]] = {}
    for line in notes.read_text(encoding="utf-8").splitlines():
        note = json.loads(line)
        results.setdefault(note["fault"], {})[note["engine"]] = note["seconds"]
    rows = [
        f"| {fault} | {_cell(seconds.get('ansible'))} | {_cell(seconds.get('pyinfra'))} |"
        for fault, seconds in sorted(results.items())
    ]
    sys.stdout.write(HEAD + "\n".join(rows) + "\n")


def _cell(seconds: int | None) -> str:
    return "not tried" if seconds is None else f"recovered in {seconds} s"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
