"""A password for sudo that systemd hands to a unit: read under the real service manager, by root and by an ordinary account."""

from __future__ import annotations

import base64
import hashlib
import io
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from medsec.lab import LabHost

SECRET = "Pw-4711 '\"$x 密"
# What the reading of passwords imports, found out by importing it: the host has Debian's Python and nothing of medsec.
IMPORTED = """
import pathlib, sys
import medsec.inventory.passwords
for name in sorted({name.partition(".")[0] for name in sys.modules}):
    file = getattr(sys.modules.get(name), "__file__", None)
    if file and ("site-packages" in file or name == "medsec"):
        print(pathlib.Path(file).parent if file.endswith("__init__.py") else file)
"""
READS = """
import hashlib
from medsec.inventory.passwords import become_password
said = become_password("his-db", {"medsec_become_password_from": "credential:his-db"}).reveal()
print(hashlib.sha256(said.encode()).hexdigest())
"""


@pytest.fixture
def host(fresh_host: Callable[..., LabHost]) -> LabHost:
    """A host with as much of medsec as reads passwords, and with the password in a file of root's."""
    made = fresh_host("server")
    paths = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True).stdout
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path in paths.splitlines():
            archive.add(path, Path(path).name, filter=lambda entry: None if "__pycache__" in entry.name else entry)
    text = base64.b64encode(packed.getvalue()).decode()
    unpack = "sudo mkdir /opt/medsec && base64 -d | sudo tar -xz --no-same-owner -C /opt/medsec"
    made.ssh(unpack, input=text).check_returncode()
    made.run_as_root(f"cat > /opt/medsec/reads.py << 'END'\n{READS}\nEND").check_returncode()
    made.run_as_root(f"umask 077; cat > /root/secret << 'END'\n{SECRET}\nEND").check_returncode()
    return made


def unit(host: LabHost, *properties: str) -> subprocess.CompletedProcess[str]:
    words = " ".join(f"-p '{word}'" for word in ("Environment=PYTHONPATH=/opt/medsec", *properties))
    return host.run_as_root(f"systemd-run -q --wait --pipe {words} /usr/bin/python3 /opt/medsec/reads.py")


@pytest.mark.parametrize("user", ["root", "admin"])
def test_a_unit_reads_the_credential_that_it_was_given(host: LabHost, user: str) -> None:
    given = unit(host, f"User={user}", "LoadCredential=his-db:/root/secret")
    assert given.stdout.strip() == hashlib.sha256(SECRET.encode()).hexdigest(), given.stderr
    other = unit(host, f"User={user}", "LoadCredential=his-app:/root/secret")
    assert other.returncode != 0
    assert "credential:his-db" in other.stderr
    without = unit(host, f"User={user}")
    assert without.returncode != 0
    assert "systemd-run -p LoadCredential=his-db:FILE" in without.stderr
