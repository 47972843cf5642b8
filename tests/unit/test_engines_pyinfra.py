"""The pyinfra engine's parts that need no host; what needs one is in tests/lab."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pyinfra.api import OperationValueError
from pyinfra.connectors.sshuserclient.client import SSHClient, StrictPolicy

from medsec.engines import pyinfra_logins
from medsec.engines.base import EngineError, Work
from medsec.engines.child import child
from medsec.engines.pyinfra import PyinfraEngine
from medsec.errors import UsageError
from medsec.inventory import load_inventory
from medsec.inventory.hosts import Login
from medsec.operations.contents import _install, _octal
from tests import engine_site as site

LOGIN = Login("10.66.1.10", 2222, "admin", Path("/k"), Path("/known"), True, "ops@10.66.1.1:22")


def test_host_keys_are_checked_strictly_on_the_whole_way(tmp_path: Path) -> None:
    data = pyinfra_logins.host_data(pyinfra_logins.message(LOGIN), tmp_path)
    assert data["ssh_strict_host_key_checking"] == "yes"
    assert data["ssh_known_hosts_file"] == "/known"
    written = Path(data["ssh_config_file"]).read_text()
    assert "ProxyJump ops@10.66.1.1:22" in written
    # What pyinfra makes of it for the jump host itself.
    hop = SSHClient()
    _, config, _, policy, known, *_ = hop.parse_config("10.66.1.1", {}, ssh_config_file=data["ssh_config_file"])
    assert isinstance(policy, StrictPolicy)
    assert "/known" in known
    assert "sock" not in config


def test_two_jump_hosts_do_not_share_a_file(tmp_path: Path) -> None:
    other = replace(LOGIN, address="10.66.1.11", jump="10.66.2.1")
    files = {
        pyinfra_logins.host_data(pyinfra_logins.message(login), tmp_path)["ssh_config_file"]
        for login in (LOGIN, other)
    }
    assert len(files) == 2


def test_a_wrong_parameter_is_refused_before_a_process_starts(tmp_path: Path) -> None:
    control = site.make_control(tmp_path / "roles", "a_first", path="/x")
    inventory = load_inventory(site.make_site(tmp_path / "site", {"one": {"a_first_text": 7}}))
    work = Work(inventory, site.catalogue(control), {"one": ["a_first"]}, "apply")
    with pytest.raises(UsageError, match="host one: a_first_text"):
        PyinfraEngine().run(work, lambda event: None)


def test_medsec_itself_is_not_patched_by_gevent() -> None:
    script = (
        "import medsec.engines.registry, medsec.engines.planning, sys; medsec.engines.registry.engine('pyinfra');"
        "assert 'gevent' not in sys.modules, 'gevent was imported'; import threading;"
        "assert threading.Thread.__module__ == 'threading'"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("mode", ["999", "rw", "", "17777"])
def test_a_mode_that_is_none_is_refused(mode: str) -> None:
    with pytest.raises(OperationValueError, match="octal digits"):
        _octal(mode)


@pytest.mark.parametrize(("check", "stands"), [("grep -q new %s", "new\n"), ("grep -q old %s", "old\n")])
def test_a_file_is_replaced_only_when_its_program_accepts_it(tmp_path: Path, check: str, stands: str) -> None:
    dest = tmp_path / "it's a file"
    dest.write_text("old\n")
    owner = f"{dest.owner()}:{dest.group()}"
    command = _install(str(dest), b"new\n", bits=0o640, owner=owner, validate=check)
    given = str(command.connector_arguments["_stdin"]).encode()
    done = subprocess.run(["sh", "-c", command.get_raw_value()], input=given, check=False)
    assert dest.read_text() == stands
    assert (done.returncode == 0) == (stands == "new\n")
    assert [path.name for path in tmp_path.iterdir()] == [dest.name]
    if stands == "new\n":
        assert dest.stat().st_mode & 0o7777 == 0o640


def test_contents_never_stand_on_a_command_line(tmp_path: Path) -> None:
    command = _install("/etc/x", b"secret", bits=0o600, owner="root:root", validate=None)
    assert "secret" not in command.get_raw_value()
    assert "c2VjcmV0" not in command.get_raw_value()


def test_a_silent_engine_is_stopped() -> None:
    argv = [sys.executable, "-c", "print('last words', flush=True); import time; time.sleep(60)"]
    with child(argv, env={}) as process, pytest.raises(EngineError, match="last words"):
        list(process.lines(silence=1))
