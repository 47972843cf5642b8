"""The pytest suites on real hosts, by the inventory's own logins and by Testinfra's backends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from medsec.lab import Lab

pytestmark = pytest.mark.xdist_group("verify")

ROOT = Path(__file__).parents[2]
INDEX = int(os.environ.get("MEDSEC_LAB_INDEX", "0")) or 1 + int(
    os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
)
WORDS = {"zh": "文", "en": "text"}
Verify = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab("clinic", INDEX)
    for name in ("one", "two"):
        lab.add_host(name, kind="server")
    yield lab
    lab.down()


@pytest.fixture(scope="module")
def inventory(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`one` serves SSH to this machine, 8080 to `two` and 8081 to nobody here; `off` does not exist."""
    folder = tmp_path_factory.mktemp("site")
    one, two = lab.host("one").address, lab.host("two").address
    off = one.rsplit(".", 1)[0] + ".250"
    addresses = {"one": one, "two": two, "off": off}
    login = {
        "ansible_user": "admin",
        "ansible_become": True,
        "ansible_ssh_private_key_file": str(lab.identity_path),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={lab.known_hosts_path}",
    }
    entry = {
        "kind": "server",
        "os_family": "debian",
        "department": WORDS,
        "owner": "张工",
        "location": WORDS,
        "purpose": WORDS,
    }
    ssh = {"port": 22, "process": "sshd", "sources": ["all"], "purpose": WORDS}
    business = {"port": 8080, "process": "python3", "sources": ["two"], "purpose": WORDS}
    inside = {"port": 8081, "process": "python3", "sources": ["local"], "purpose": WORDS}
    ledger = {
        "institution": WORDS,
        "address_sets": {"all": ["10.0.0.0/8"], "two": [f"{two}/32"]},
        "time_sources": [two],
        "hosts": {
            name: {**entry, "address": address, "listens": [ssh, business, inside] if name == "one" else [ssh]}
            for name, address in addresses.items()
        },
    }
    hosts = {name: {"ansible_host": address} for name, address in addresses.items()}
    folder.joinpath("hosts.yml").write_text(
        yaml.safe_dump({"all": {"hosts": hosts, "vars": {**login, "ledger": ledger}}})
    )
    return folder


@pytest.fixture
def verify(inventory: Path) -> Verify:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "verify", "-p", "no:cacheprovider", f"--inventory={inventory}"]
        return subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def serve(lab: Lab) -> Iterator[Callable[[str, int], None]]:
    """Let host `one` listen on a port of an address."""
    units = []

    def start(address: str, port: int) -> None:
        unit = f"serve-{port}"
        units.append(unit)
        lab.host("one").run_as_root(
            f"systemd-run --quiet --unit {unit} python3 -m http.server --bind {address} {port}; "
            f"for i in 1 2 3 4 5 6 7 8 9; do ss -Hltn sport = :{port} | grep -q . && exit; sleep 1; done; exit 1"
        ).check_returncode()

    yield start
    lab.host("one").run_as_root(f"systemctl stop {' '.join(units)}")


@pytest.mark.parametrize("backend", [None, "paramiko", "ssh"])
def test_a_control_is_named_found_and_judged_by_any_backend(lab: Lab, verify: Verify, backend: str | None) -> None:
    lab.host("one").run_as_root(
        "echo 'PermitRootLogin yes' > /etc/ssh/sshd_config.d/00-x.conf; systemctl reload ssh"
    )
    spec = [f"--hosts={backend}://one", f"--ssh-config={lab.ssh_config_path}", "--sudo"] if backend else []
    done = verify("-k", "one-root_login_refused", "--lang", "zh", *spec)
    assert done.returncode == 1, done.stdout
    assert "test_control[one-root_login_refused]" in done.stdout
    assert "root 可直接登录" in done.stdout
    assert "1 failed" in done.stdout


def test_what_proved_nothing_is_an_error_in_one_line(lab: Lab, verify: Verify) -> None:
    done = verify("-k", "off-root_login_refused", "--tb=short")
    assert (done.returncode, "1 error" in done.stdout) == (1, True), done.stdout
    assert "cannot be reached" in done.stdout
    assert "Traceback" not in done.stdout
    spec = ["--hosts=paramiko://one", f"--ssh-config={lab.ssh_config_path}"]
    done = verify("-k", "root_login_refused", *spec)
    assert (done.returncode, "1 error" in done.stdout) == (1, True), done.stdout
    assert "no privilege" in done.stdout
    assert "--sudo" in done.stdout


def test_a_session_that_judged_nothing_is_not_green(verify: Verify) -> None:
    done = verify("-k", "one and pgaudit or one-database_clients")
    assert done.returncode == 5, done.stdout


def test_an_unknown_host_or_inventory_is_a_usage_error(verify: Verify) -> None:
    done = verify("--hosts=paramiko://10.66.1.99")
    assert (done.returncode, "not in the inventory" in done.stderr) == (4, True), done.stderr
    done = verify("--inventory=/nowhere")
    assert (done.returncode, "no such inventory" in done.stderr) == (4, True), done.stderr


def test_survival_asks_from_where_the_ledger_says(
    lab: Lab, verify: Verify, serve: Callable[[str, int], None]
) -> None:
    done = verify("-k", "test_login and one or test_port and one-80")
    assert "2 failed, 1 passed" in done.stdout, done.stdout
    assert "8080/tcp (text) of one does not answer to two" in done.stdout
    serve(lab.host("one").address, 8080)
    serve("127.0.0.1", 8081)
    done = verify("-k", "test_login and one or test_port and one-80")
    assert (done.returncode, "3 passed" in done.stdout) == (0, True), done.stdout


def test_exposure_sees_what_answers_here(lab: Lab, verify: Verify, serve: Callable[[str, int], None]) -> None:
    done = verify("-k", "test_only_registered_ports_answer and (one or off)")
    assert "1 passed" in done.stdout and "not even port 22" in done.stdout, done.stdout
    serve("::", 23)
    serve("0.0.0.0", 8080)
    done = verify("-k", "test_only_registered_ports_answer and one")
    assert done.returncode == 1, done.stdout
    assert "ports 23, 8080 of" in done.stdout
