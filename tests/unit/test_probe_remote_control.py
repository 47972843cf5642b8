"""What the search for remote-control software makes of what hosts answered."""

from __future__ import annotations

import dataclasses
import re
import subprocess

import pytest
import yaml

from medsec.errors import ProbeError
from medsec.probes import remote_control
from medsec.probes.remote_control import Process, Product, Scan, Sighting
from medsec.resources import root

CATALOGUE = remote_control.read_catalogue(root() / "roles/remote_control/files/products.yml")
DATABASE_CLIENTS = remote_control.read_catalogue(root() / "roles/remote_control/files/database_clients.yml")

# Taken from a Debian 12 host with xrdp and x11vnc installed, and an Xtigervnc renamed, started and deleted.
ANSWER = """--8<-- medsec packages
installed\tbash
installed\txrdp
config-files\tvino
unpacked\ttodesk
--8<-- medsec units
/etc/systemd/system/todeskd.service\t/dev/null
/etc/systemd/system/sshd.service\t/lib/systemd/system/ssh.service
/usr/lib/systemd/system/ssh.service\t
/usr/lib/systemd/system/todeskd.service\t
/usr/lib/systemd/system/xrdp.service\t
/usr/lib/systemd/system/xrdp-sesman.service\t
--8<-- medsec active
cron.service loaded active running Regular background program processing daemon
● bad.service not-found inactive dead bad.service
frpc@home.service loaded active running frp
--8<-- medsec homes
/home/rustdesk
/root
--8<-- medsec userunits
/usr/lib/systemd/user/gnome-remote-desktop.service\t
/home/admin/.config/systemd/user/vino-server.service\t/dev/null
--8<-- medsec executables
1\t/usr/lib/systemd/systemd
944\t/home/admin/tools/updater (deleted)
950\t/usr/lib/wine/wine64-preloader
--8<-- medsec arguments
/proc/1/cmdline:/sbin/init
/proc/944/cmdline:/home/admin/tools/updater
/proc/944/cmdline::7
/proc/950/cmdline:C:\\Program Files\\Netease\\GameViewer\\GameViewer.exe
--8<-- medsec signatures
/proc/944/exe\tXvnc TigerVNC
--8<-- medsec paths
/opt/todesk
/home/admin/.local/share/flatpak/app/com.rustdesk.RustDesk
--8<-- medsec files
/home//rustdesk
/home/admin/Downloads/AnyDesk_6.4.2.deb
--8<-- medsec launches
/etc/cron.d/note:# todesk was removed
/var/spool/cron/crontabs/admin:@reboot /home/admin/frp/frpc -c x.toml
/usr/share/applications/x.desktop:Name=x11vnc
/etc/systemd/system/help.service:ExecStart=/srv/npc -server=1.2.3.4
--8<-- medsec listeners
tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=44,fd=3))
tcp LISTEN 0 128 [::1]:5901 [::]:* users:(("qemu",pid=45,fd=3))
tcp LISTEN 0 128 *:5900 *:* users:(("python3",pid=46,fd=3))
--8<-- medsec end
"""


@pytest.fixture
def scan() -> Scan:
    return remote_control.parse(remote_control.sections(ANSWER))


def product(product_id: str) -> Product:
    return next(entry for entry in CATALOGUE.products if entry.id == product_id)


def seen(scan: Scan, product_id: str) -> list[Sighting]:
    return remote_control.sightings(scan, product(product_id), CATALOGUE.also_words)


def test_a_half_installed_package_counts_and_a_purged_one_does_not(scan: Scan) -> None:
    assert Sighting("package", "todesk") in seen(scan, "todesk")
    assert not [sighting for sighting in seen(scan, "vnc") if sighting.kind == "package"]


def test_a_disabled_unit_counts_and_a_masked_one_does_not(scan: Scan) -> None:
    assert Sighting("unit", "xrdp.service /usr/lib/systemd/system/xrdp.service inactive") in seen(scan, "rdp")
    assert not [sighting for sighting in seen(scan, "todesk") if sighting.kind == "unit"]
    assert not [sighting for sighting in seen(scan, "vnc") if sighting.kind == "unit"]


def test_a_user_unit_counts(scan: Scan) -> None:
    assert any("gnome-remote-desktop.service user unit" in sighting.what for sighting in seen(scan, "rdp"))


def test_an_instance_without_a_file_counts_while_it_runs(scan: Scan) -> None:
    assert Sighting("unit", "frpc@home.service without a file active") in seen(scan, "frp")


def test_a_renamed_and_deleted_program_is_known_by_what_it_carries(scan: Scan) -> None:
    assert Sighting("process", "944 /home/admin/tools/updater (deleted) carries 'Xvnc TigerVNC'") in seen(
        scan, "vnc"
    )


def test_a_windows_program_under_wine_is_known_by_its_argument(scan: Scan) -> None:
    assert [sighting.kind for sighting in seen(scan, "netease_uu")] == ["process"]


def test_a_home_called_like_a_product_is_not_a_find(scan: Scan) -> None:
    assert [sighting.what for sighting in seen(scan, "rustdesk")] == [
        "/home/admin/.local/share/flatpak/app/com.rustdesk.RustDesk"
    ]


def test_start_up_lines_count_and_comments_and_titles_do_not(scan: Scan) -> None:
    assert [s.what for s in seen(scan, "frp") if s.kind == "launch"] == [
        "/var/spool/cron/crontabs/admin: @reboot /home/admin/frp/frpc -c x.toml"
    ]
    assert [s.kind for s in seen(scan, "nps")] == ["launch"]
    assert not [s for s in seen(scan, "vnc") if s.kind == "launch"]


def test_a_listener_for_other_hosts_convicts_and_one_on_loopback_does_not(scan: Scan) -> None:
    assert [s.what for s in seen(scan, "vnc") if s.kind == "listener"] == ["tcp/5900 python3 (pid 46)"]


def test_an_empty_answer_is_no_pass() -> None:
    empty = re.sub(r"(installed|config-files|unpacked)\t.*\n", "", ANSWER)
    with pytest.raises(ProbeError, match="cannot be trusted"):
        remote_control.parse(remote_control.sections(empty))


@pytest.mark.parametrize(
    ("executable", "arguments", "names"),
    [
        ("/usr/bin/python3.11", ("python3", "/opt/x/websockify"), ["python3.11", "python3", "websockify"]),
        ("/usr/bin/vim", ("vim", "/opt/todesk"), ["vim", "vim"]),
        ("/usr/bin/dash", ("sh", "-c", "echo todesk"), ["dash", "sh"]),
    ],
)
def test_only_what_an_interpreter_runs_is_read_from_arguments(
    executable: str, arguments: tuple[str, ...], names: list[str]
) -> None:
    assert remote_control.names_of(Process(1, executable, arguments)) == names


def running(executable: str, *arguments: str) -> Scan:
    scan = remote_control.parse(remote_control.sections(ANSWER))
    return dataclasses.replace(scan, processes=(Process(7, executable, arguments),))


@pytest.mark.parametrize(
    ("product_id", "executable", "arguments", "expected"),
    [
        ("overlay_other", "/usr/bin/ssh", ("ssh", "-N", "-i", "k", "-R", "2222:localhost:22", "a@1.2.3.4"), True),
        ("overlay_other", "/usr/bin/ssh", ("/usr/bin/ssh", "-fNR2222:[::1]:22", "1.2.3.4"), True),
        ("overlay_other", "/usr/bin/ssh", ("ssh", "-oRemoteForward=2222 localhost:22", "1.2.3.4"), True),
        ("overlay_other", "/usr/bin/ssh", ("ssh", "-L", "2222:localhost:22", "1.2.3.4", "ls", "-R"), False),
        ("overlay_other", "/usr/bin/less", ("less", "ssh -R 2222:localhost:22 x"), False),
        ("shared_shell", "/usr/share/code/bin/code-tunnel", ("/usr/bin/code", "tunnel"), True),
        ("frp", "/memfd:frpc (deleted)", ("[kworker/0:1]",), True),
        ("splashtop", "/usr/bin/python3.11", ("python3", *("-W",) * 9, "/opt/s/SRStreamer.pyc"), True),
    ],
)
def test_a_common_program_is_known_by_what_it_was_told_to_do(
    product_id: str, executable: str, arguments: tuple[str, ...], expected: bool
) -> None:
    seen_now = seen(running(executable, *arguments), product_id)
    assert any(sighting.kind == "process" for sighting in seen_now) is expected


def test_a_mask_that_the_next_boot_forgets_is_none(scan: Scan) -> None:
    masked = "/etc/systemd/system/todeskd.service\t/dev/null"
    for_now = ANSWER.replace(masked, masked.replace("/etc/", "/run/"))
    assert not [sighting for sighting in seen(scan, "todesk") if sighting.kind == "unit"]
    found = seen(remote_control.parse(remote_control.sections(for_now)), "todesk")
    assert Sighting("unit", "todeskd.service /usr/lib/systemd/system/todeskd.service inactive") in found


def lines() -> list[tuple[str, bool]]:
    return list(
        {
            "Exec=/usr/bin/edge -f": True,
            "@reboot root frpc": True,
            "on the edge of": False,
            'wine "C:\\Program Files\\GameViewer\\GameViewer.exe"': True,
            "Exec=env X=1 krfb %c": True,
            "  exec qq": True,
            "a qq b": False,
            "@reboot autossh -M 0 -N -R 2222:localhost:22 a@1.2.3.4": True,
            "ExecStart=/usr/bin/ssh -N -R 2222:localhost:22 a@1.2.3.4": True,
            "ssh -L 2222:localhost:22 a@1.2.3.4": False,
            "start an innocent program now": False,
        }.items()
    )


@pytest.mark.parametrize(("line", "starts"), lines())
def test_python_and_grep_read_the_launch_pattern_alike(line: str, starts: bool) -> None:
    images = [image for entry in CATALOGUE.products for image in entry.images]
    commands = [command for entry in CATALOGUE.products for command in entry.commands]
    pattern = remote_control._alternatives(images, CATALOGUE.also_words, commands)
    assert bool(re.search(pattern, line, re.IGNORECASE)) is starts
    done = subprocess.run(["grep", "-qiE", pattern], input=line, text=True, check=False)
    assert done.returncode == (0 if starts else 1)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"product": "vnc", "approval": "No. 12"}, None),
        ({"product": "vnc"}, "must have the keys"),
        ({"product": "vnc", "approval": " "}, "approval is empty"),
        ({"product": "todesc", "approval": "No. 12"}, "is not one of"),
    ],
)
def test_an_exception_names_a_product_and_its_approval(entry: dict[str, str], problem: str | None) -> None:
    found = remote_control.catalogue_problem([entry], CATALOGUE)
    assert found is None if problem is None else problem in str(found)


@pytest.mark.parametrize("catalogue", [CATALOGUE, DATABASE_CLIENTS], ids=["remote control", "database clients"])
def test_every_confirmed_name_is_in_the_catalogue(catalogue: remote_control.Catalogue) -> None:
    for entry in catalogue.products:
        names = {
            *entry.packages, *entry.units, *entry.images, *entry.files, *entry.paths, *entry.signatures,
            *entry.ports, *entry.convicting_ports, *entry.traces,
        }  # fmt: skip
        assert set(entry.seen) <= names, entry.id
        assert not [name for name in entry.packages if "*" in name], (
            "the package managers take names, not patterns"
        )


@pytest.mark.parametrize(
    ("control", "catalogue"),
    [("remote_control_software_absent", CATALOGUE), ("database_clients_absent", DATABASE_CLIENTS)],
)
def test_the_control_says_that_it_touches_every_package_and_unit_of_the_catalogue(
    control: str, catalogue: remote_control.Catalogue
) -> None:
    written = root() / f"roles/remote_control/controls/{control}/control.yml"
    touches = yaml.safe_load(written.read_text(encoding="utf-8"))["touches"]
    assert set(touches["packages"]) == {name for entry in catalogue.products for name in entry.packages}
    assert set(touches["units"]) == {name for entry in catalogue.products for name in entry.units}


def test_a_product_without_a_program_starts_nowhere(scan: Scan) -> None:
    web = next(entry for entry in DATABASE_CLIENTS.products if not entry.images and not entry.commands)
    assert scan.launches
    assert not remote_control.sightings(scan, web, DATABASE_CLIENTS.also_words)


def test_a_servers_own_client_counts_on_terminals_only() -> None:
    def named(kind: str) -> set[str]:
        return {entry.id for entry in DATABASE_CLIENTS.on(kind).products}

    assert named("terminal") - named("db") == {"command_line_clients", "domestic_managers"}
    assert named("db") < named("terminal")
