"""Where the password for sudo comes from: each source, each refusal, and that no word of medsec's shows it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyrings.alt.file import PlaintextKeyring

from medsec.errors import UsageError
from medsec.inventory import Inventory, load_inventory
from medsec.inventory.passwords import Password, become_password
from tests import engine_site as site

SECRET = "Kö7 $x'\"\\密 {{ no }} #%s"
VAULT = "the vault's own"


def made(folder: Path, **variables: Any) -> Inventory:
    return load_inventory(site.make_site(folder / "site", {"one": {"ansible_host": "127.0.0.1", **variables}}))


def password(inventory: Inventory) -> Password:
    found = inventory.hosts["one"].login.password
    assert found is not None
    return found


def refused(act: Any) -> UsageError:
    with pytest.raises(UsageError) as caught:
        act()
    assert SECRET not in str(caught.value)
    assert "主机 one" in caught.value.in_language("zh")
    assert "\n" not in caught.value.in_language("en")
    return caught.value


def ansible_vault(folder: Path, *arguments: str, given: str = "") -> str:
    key = folder / "vault-key"
    key.write_text(VAULT + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "ansible", "vault", *arguments, "--vault-password-file", str(key)]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("variable", ["ansible_become_password", "ansible_become_pass"])
def test_the_standard_variables_are_taken_and_kept_apart_from_the_rest(tmp_path: Path, variable: str) -> None:
    inventory = made(tmp_path, **{variable: "{{ its_name }}", "its_name": "abc def", "ansible_ssh_pass": "other"})
    assert password(inventory).reveal() == "abc def"
    host = inventory.hosts["one"]
    assert not {variable, "ansible_ssh_pass"} & set(host.variables)
    assert "abc def" not in repr(inventory)
    assert variable in repr(password(inventory))
    with pytest.raises(TypeError):
        pickle.dumps(password(inventory))


@pytest.mark.parametrize("way", ["ansible.cfg", "environment"])
def test_a_vaulted_value_and_a_vaulted_file_are_opened_as_ansible_opens_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    folder = site.make_site(tmp_path / "site", {"one": {}, "two": {}})
    inline = ansible_vault(tmp_path, "encrypt_string", "--stdin-name", "ansible_become_password", given=SECRET)
    (folder / "host_vars").mkdir()
    (folder / "host_vars/one.yml").write_text(inline, encoding="utf-8")
    plain = folder / "host_vars/two.yml"
    plain.write_text("ansible_become_pass: of the file\n", encoding="utf-8")
    ansible_vault(tmp_path, "encrypt", str(plain))
    with pytest.raises(UsageError) as caught:
        load_inventory(folder)
    assert "vault" in str(caught.value).lower()
    if way == "environment":
        monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(tmp_path / "vault-key"))
    else:
        (folder / "ansible.cfg").write_text("[defaults]\nvault_password_file = ../vault-key\n", encoding="utf-8")
    hosts = load_inventory(folder).hosts
    found = {name: host.login.password.reveal() for name, host in hosts.items() if host.login.password}
    assert found == {"one": SECRET, "two": "of the file"}


def test_a_file_is_taken_only_if_it_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    source = {"medsec_become_password_from": f"file:{file}"}
    assert "No such file" in str(refused(password(made(tmp_path / "a", **source)).reveal))
    file.write_text(SECRET + "\n", encoding="utf-8")
    for mode in (0o640, 0o604, 0o620, 0o602):
        file.chmod(mode)
        assert f"{mode:04o}" in str(refused(password(made(tmp_path / f"{mode:o}", **source)).reveal))
    file.chmod(0o600)
    assert password(made(tmp_path / "b", **source)).reveal() == SECRET
    file.unlink()
    file.mkdir(mode=0o700)
    assert "secret" in str(refused(password(made(tmp_path / "c", **source)).reveal))


def test_a_systemd_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = {"medsec_become_password_from": "credential:clinic.sudo"}
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert "LoadCredential" in str(refused(password(made(tmp_path / "a", **source)).reveal))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert "clinic.sudo" in str(refused(password(made(tmp_path / "b", **source)).reveal))
    handle = os.open(tmp_path / "clinic.sudo", os.O_CREAT | os.O_WRONLY, 0o440)
    os.write(handle, SECRET.encode())
    os.close(handle)
    assert password(made(tmp_path / "c", **source)).reveal() == SECRET
    (tmp_path / "clinic.sudo").chmod(0o444)
    assert "0444" in str(refused(password(made(tmp_path / "d", **source)).reveal))


def test_a_keyring_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    before = keyring.get_keyring()
    keyring.set_keyring(PlaintextKeyring())
    try:
        source = {"medsec_become_password_from": "keyring:medsec/clinic/admin"}
        found = password(made(tmp_path, **source))
        assert "keyring set medsec/clinic admin" in str(refused(found.reveal))
        keyring.set_password("medsec/clinic", "admin", SECRET)
        assert found.reveal() == SECRET
    finally:
        keyring.set_keyring(before)


def test_keyring_is_not_needed_by_those_who_do_not_name_it(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['keyring'] = None\n"
        "from pathlib import Path\nfrom medsec.inventory import load_inventory\n"
        f"host = load_inventory(Path({str(tmp_path / 'site')!r})).hosts['one']\n"
        "host.login.password.reveal()\n"
    )
    made(tmp_path, medsec_become_password_from="keyring:a/b")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "UsageError: host one" in done.stderr
    assert "pip install 'medsec[keyring]'" in done.stderr


@pytest.mark.parametrize(
    "source",
    ["", "hunter", "pass:x", "file:relative", "credential:../x", "credential:", "credential:.x", "keyring:only", "keyring:/u", 7],
)  # fmt: skip
def test_other_sources_are_refused_by_name(tmp_path: Path, source: Any) -> None:
    text = str(refused(lambda: made(tmp_path, medsec_become_password_from=source)))
    assert "credential:NAME, keyring:SERVICE/USER, file:PATH" in text


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    both = {"ansible_become_password": SECRET, "medsec_become_password_from": "file:/x"}
    assert "both" in str(refused(lambda: become_password("one", both)))
    differ = {"ansible_become_password": SECRET, "ansible_become_pass": "other"}
    assert "differ" in str(refused(lambda: become_password("one", differ)))
    assert "in quotes" in str(refused(lambda: become_password("one", {"ansible_become_pass": 12345})))
    for wrong in ("", "two\nlines", "x" * 600, "nul\0", "\udcff"):
        found = become_password("one", {"ansible_become_pass": wrong})
        assert found is not None
        refused(found.reveal)
    lookup = "{{ lookup('ansible.builtin.env', 'HOME') }}"
    assert "lookup" in str(refused(lambda: made(tmp_path / "l", ansible_become_password=lookup)))
    for name, value in (("ansible_become_method", "su"), ("ansible_become_user", "postgres")):
        assert value in str(refused(lambda name=name, value=value: made(tmp_path / value, **{name: value})))
