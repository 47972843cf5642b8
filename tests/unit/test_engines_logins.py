"""The logins that Ansible's runs share are ended, whatever became of them."""

from __future__ import annotations

import socket
from pathlib import Path

from medsec.engines.ansible import _log_out


def test_a_login_that_does_not_answer_stops_nobody_and_is_used_no_more(tmp_path: Path) -> None:
    (tmp_path / "cp").mkdir()
    hung = tmp_path / "cp/hung"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(hung))
        listening.listen()  # accepts, and says nothing
        _log_out(tmp_path)
    assert not hung.exists()
