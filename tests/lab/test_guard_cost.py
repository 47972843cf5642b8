"""What the guard costs a host on which nothing risky is done: one login, and two requests on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medsec.evidence.findings import Verdict
from medsec.guard import session
from medsec.lab import Lab, LabHost
from tests.lab import faults


@pytest.mark.parametrize("tool", ["ansible", "pyinfra"])
def test_an_ordinary_control_costs_a_login_and_two_requests(
    lab: Lab, fresh_host: Callable[..., LabHost], tmp_path: Path, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = fresh_host()
    inventory = faults.inventory(lab, host, tmp_path / "site")
    control = faults.control(
        tmp_path / "roles", "true", ["/etc/ssh/sshd_config.d/*"], ["ssh.service"], risk="none"
    )
    counted: list[str] = []
    ask, log_in = session.Session._ask, session.open_clients

    def counted_ask(self: session.Session, verb: str, *arguments: str, **options: Any) -> str:
        counted.append(verb)
        return ask(self, verb, *arguments, **options)

    def counted_login(*arguments: Any) -> Any:
        counted.append("login")
        return log_in(*arguments)

    monkeypatch.setattr(session.Session, "_ask", counted_ask)
    monkeypatch.setattr(session, "open_clients", counted_login)
    done = faults.run_apply(faults.select(inventory, control), tool, tmp_path / "runs/20261122T000000Z-aaaaaa")
    assert [finding.verdict for finding in done.after] == [Verdict.PASS]
    assert counted == ["login", "save", "record"]
