"""A single host: how it is reached, what it is, what it keeps and what it forgets."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from medsec.lab import Lab, LabError, LabHost

Make = Callable[..., LabHost]


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[LabHost]:
    """A plain host that this file's tests only read."""
    yield lab.add_host("plain")
    lab.remove_host("plain")


def _until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.2)


def _boot_id(host: LabHost) -> str:
    return host.ssh("cat /proc/sys/kernel/random/boot_id").stdout.strip()


def test_it_is_reached_as_an_unprivileged_admin_with_sudo(host: LabHost) -> None:
    done = host.ssh("id -un; id -Gn; sudo -n id -un; cat /proc/1/comm; systemctl is-system-running")
    assert done.stdout.split("\n") == ["admin", "admin sudo", "root", "systemd", "running", ""], done.stderr


def test_nobody_gets_in_as_root(lab: Lab, host: LabHost) -> None:
    done = subprocess.run(
        ["ssh", "-F", lab.ssh_config_path, "-o", "BatchMode=yes", "-l", "root", host.name, "id"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 255
    assert "Permission denied" in done.stderr
    assert host.ssh("sudo passwd --status root").stdout.split()[1] == "L"


def test_another_host_key_is_refused(lab: Lab, host: LabHost, tmp_path: Path) -> None:
    other = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    known = tmp_path / "known_hosts"
    known.write_text(f"{host.address} {other.with_suffix('.pub').read_text()}", encoding="utf-8")
    command = ["ssh", "-F", str(lab.ssh_config_path), "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={known}"]
    done = subprocess.run([*command, host.name, "id"], capture_output=True, text=True, check=False)
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


def test_it_is_a_plain_debian(host: LabHost) -> None:
    effective = host.ssh("sudo sshd -T").stdout.split("\n")
    assert "permitrootlogin without-password" in effective
    assert "passwordauthentication yes" in effective
    active = host.ssh("systemctl is-active rsyslog cron ssh nftables logrotate.timer").stdout.split()
    assert active == ["active", "active", "active", "inactive", "active"]
    assert host.ssh("sudo nft list ruleset").stdout == ""
    assert "zh_CN.utf8" in host.ssh("locale -a").stdout.split()
    settings = "net.ipv4.conf.all.accept_redirects net.ipv4.conf.all.send_redirects net.ipv4.ip_forward"
    assert host.ssh(f"/sbin/sysctl -n {settings}").stdout.split() == ["1", "1", "0"]


def test_packages_come_from_the_local_repository_and_nowhere_else(fresh_host: Make) -> None:
    host = fresh_host()
    uris = "apt-get indextargets --format '$(REPO_URI)' | sort -u"
    assert host.ssh(uris).stdout == "file:/srv/repo/\n"
    installed = host.ssh(
        "sudo DEBIAN_FRONTEND=noninteractive apt-get -qq -y install acl chrony && command -v setfacl"
    )
    assert installed.returncode == 0, installed.stdout + installed.stderr
    purged = host.ssh(
        "sudo apt-get -qq -y purge rsyslog --autoremove && sudo apt-get -qq -y install rsyslog && systemctl is-active rsyslog"
    )
    assert purged.stdout.split()[-1] == "active", purged.stdout + purged.stderr
    touched = host.ssh("sudo touch /srv/repo/x")
    assert "Read-only file system" in touched.stderr


def test_ipv6_works(lab: Lab, host: LabHost) -> None:
    done = subprocess.run(
        ["ssh", "-F", lab.ssh_config_path, "-o", f"HostName={host.ipv6}", host.name, "echo $SSH_CONNECTION"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert host.ipv6 in done.stdout, done.stderr


def test_upper_shows_what_was_changed(fresh_host: Make) -> None:
    host = fresh_host()
    host.run_as_root("echo x > /etc/new; rm /etc/nftables.conf").check_returncode()
    assert (host.upper / "etc/new").read_text() == "x\n"
    assert (host.upper / "etc/nftables.conf").is_char_device()
    assert not (host.upper / "etc/shadow").exists()


def test_reset_gives_a_fresh_host_with_the_same_key(lab: Lab, fresh_host: Make) -> None:
    host = fresh_host()
    host.run_as_root("echo x > /etc/new; useradd intruder").check_returncode()
    lab.reset(host.name)
    assert host.ssh("test ! -e /etc/new && ! id intruder 2>/dev/null").returncode == 0


def test_reboot_keeps_files_and_forgets_the_kernels_state(lab: Lab, fresh_host: Make) -> None:
    host = fresh_host()
    before = _boot_id(host)
    host.run_as_root(
        "echo x > /etc/new; nft add table inet t; sysctl -q net.ipv4.conf.all.accept_redirects=0"
    ).check_returncode()
    host.ssh("sudo systemctl reboot")
    _until(lambda: _boot_id(host) not in ("", before))
    assert host.ssh("cat /etc/new; sudo nft list ruleset").stdout == "x\n"
    assert host.ssh("/sbin/sysctl -n net.ipv4.conf.all.accept_redirects").stdout == "1\n"
    assert lab.host(host.name).backend.state() == "running"


def test_snapshot_and_restore(lab: Lab, fresh_host: Make) -> None:
    host = fresh_host()
    host.run_as_root("echo one > /etc/new; rm -r /etc/logrotate.d; mkdir /etc/logrotate.d").check_returncode()
    lab.snapshot(host.name, "one")
    host.run_as_root("echo two > /etc/new; touch /etc/logrotate.d/later; rm /etc/nftables.conf").check_returncode()
    lab.restore(host.name, "one")
    left = host.ssh("cat /etc/new; ls -A /etc/logrotate.d; ls /etc/nftables.conf")
    assert left.stdout == "one\n/etc/nftables.conf\n", (
        "removed files or an emptied folder did not come back as they were"
    )


def test_stop_and_start_keep_what_was_changed(lab: Lab, fresh_host: Make) -> None:
    host = fresh_host()
    host.run_as_root("echo x > /etc/new").check_returncode()
    lab.stop(host.name)
    assert host.backend.state() == "stopped"
    assert host.ssh("true").returncode == 255
    lab.start(host.name)
    assert host.ssh("cat /etc/new").stdout == "x\n"


def test_a_database_server_has_both_databases(fresh_host: Make) -> None:
    host = fresh_host("db")
    assert host.ssh("systemctl is-active postgresql@15-main mariadb").stdout == "active\nactive\n"
    pgaudit = "sudo -u postgres psql -Atc \"select count(*) from pg_available_extensions where name = 'pgaudit'\""
    assert host.ssh(pgaudit).stdout == "1\n"
    assert host.ssh("sudo mariadb -NBe 'select 1'").stdout == "1\n"


def test_the_other_release_is_another_release(fresh_host: Make) -> None:
    host = fresh_host("terminal", zone="rec", suite="trixie")
    assert host.ssh(". /etc/os-release; echo $VERSION_CODENAME; systemctl is-system-running").stdout.split() == [
        "trixie",
        "running",
    ]


def test_wrong_names_and_numbers_are_refused(lab: Lab, host: LabHost) -> None:
    with pytest.raises(LabError, match="has no host 'nobody'; it has: gateway, his-app"):
        lab.host("nobody")
    with pytest.raises(LabError, match="has a host 'plain' already"):
        lab.add_host("plain")
    with pytest.raises(LabError, match="number 20 in zone srv is taken by his-db"):
        lab.add_host("other", number=20)
    with pytest.raises(LabError, match="unknown zone 'moon', known: srv, bak, rec"):
        lab.add_host("other", zone="moon")
    with pytest.raises(LabError, match="unknown layer 'web', known: db"):
        lab.add_host("other", layer="web")
    with pytest.raises(LabError, match="has no snapshot 'never'; it has: none"):
        lab.restore(host.name, "never")
    with pytest.raises(LabError, match="is not a name for a snapshot"):
        lab.snapshot(host.name, "../x")
    with pytest.raises(LabError, match="is a container"):
        _ = host.virtual
    assert "other" not in lab.hosts()
