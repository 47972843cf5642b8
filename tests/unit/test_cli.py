"""The command line: bad input gets one clear line in either language and exit code 2, and nothing is half-done."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from medsec_cli.language import choose
from medsec_cli.main import build, main

from medsec.columns import table, width
from medsec.evidence.reading import load_run
from tests import engine_site as site

ROOT = Path(__file__).parents[2]


@dataclass
class Said:
    """What a call of the command line gave."""

    code: int
    out: str
    err: str


class Cli:
    """Calls the command line in this process, from a folder of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self.monkeypatch, self.capsys, self.folder = monkeypatch, capsys, folder
        monkeypatch.chdir(folder)

    def __call__(self, *arguments: str) -> Said:
        self.monkeypatch.setattr(sys, "argv", ["medsec", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = self.capsys.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 1, captured.out, captured.err)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    shutil.copytree(ROOT / "inventory", tmp_path / "inventory")
    return Cli(monkeypatch, capsys, tmp_path)


BAD = [
    (("verify", "--limit", "his-web"), "his-web"),
    (("verify", "--limit", "cashiers"), "terminals"),
    (("verify", "--control", "root_login"), "root_login_refused"),
    (("verify", "--item", "NW-99"), "NW-10"),
    (("verify", "--tag", "sshd"), "ssh"),
    (("verify", "-i", "nowhere"), "medsec init"),
    (("verify", "--query", "hosts[", "--limit", "his-app"), "hosts["),
    (("verify", "-f", "pdf"), "junit"),
    (("verify", "-f", "html=nowhere/report.html"), "nowhere"),
    (("apply", "--engine", "salt"), "pyinfra"),
    (("plan", "--limit", "his-web"), "his-web"),
    (("explain", "no_such_thing"), "no_such_thing"),
    (("trial", "no_such_control"), "root_login_refused"),
    (("init", "."), "inventory"),
    (("report",), "medsec verify"),
    (("isolate", "his-web", "--reason", "x", "--yes"), "his-web"),
    (("isolate", "his-app", "--reason", " ", "--yes"), "--reason"),
    (("isolate", "his-app", "--yes"), "--reason"),
    (("release", "his-web", "--yes"), "his-web"),
    (("drill", "emergency", "--scenario", "flood"), "ransomware"),
    (("verify", "--resume", "nowhere"), "nowhere"),
    (("verify", "--retries", "many"), "many"),
    (("lab", "ssh", "nobody"), "nobody"),
    (("frobnicate",), "frobnicate"),
]


@pytest.mark.parametrize(("arguments", "named"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_bad_input_is_answered_by_name(cli: Cli, arguments: tuple[str, ...], named: str) -> None:
    for language in ("en", "zh"):
        said = cli("--lang", language, *arguments)
        assert said.code == 2
        assert named in said.err
        assert "Traceback" not in said.err
    assert not (cli.folder / "runs").exists()


def test_a_run_is_gone_on_with_as_it_began(cli: Cli) -> None:
    """Without naming its selection again, with the same one, and not with another."""
    known_hosts = f"-o UserKnownHostsFile={cli.folder / 'known_hosts'}"
    (cli.folder / "known_hosts").touch()
    dead = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_ssh_common_args": known_hosts}
    folder = str(site.make_site(cli.folder / "dead", {"one": dead, "two": dead, "three": dead}))
    chosen = ("--limit", "one,two", "--control", "root_login_refused")
    assert cli("verify", "-i", folder, "--retries", "0", *chosen).code == 3
    [run] = (cli.folder / "runs").iterdir()
    complete = cli("--lang", "en", "verify", "-i", folder, "--resume", str(run))
    assert (complete.code, "is complete" in complete.err) == (2, True)
    header = json.loads((run / "run.json").read_text(encoding="utf-8"))
    for arguments in ((), chosen):
        (run / "run.json").write_text(json.dumps(header | {"finished": None}), encoding="utf-8")
        assert cli("verify", "-i", folder, "--resume", str(run), *arguments).code == 3
        assert load_run(run).finished
    (run / "run.json").write_text(json.dumps(header | {"finished": None}), encoding="utf-8")
    for arguments, named in ((("--limit", "one"), "hosts"), (("--control", "usb_storage_refused"), "controls")):
        other = cli("--lang", "en", "verify", "-i", folder, "--resume", str(run), *arguments)
        assert (other.code, named in other.err) == (2, True)
    local = cli("--lang", "en", "verify", "local", "--resume", str(run))
    assert (local.code, "medsec verify local" in local.err) == (2, True)
    assert len(list((cli.folder / "runs").iterdir())) == 1


@pytest.mark.parametrize("engine", ["ansible", "pyinfra"])
def test_a_plan_of_hosts_that_do_not_answer_is_incomplete_and_names_them(cli: Cli, engine: str) -> None:
    known_hosts = f"-o UserKnownHostsFile={cli.folder / 'known_hosts'}"
    (cli.folder / "known_hosts").touch()
    dead = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_ssh_common_args": known_hosts}
    folder = site.make_site(cli.folder / "dead", {"one": dead, "two": dead})
    said = cli("--lang", "en", "plan", "-i", str(folder), "--engine", engine)
    assert said.code == 3
    assert "Not planned, nothing is known of these hosts:\n  one: " in said.out
    assert "on 0 of 2 hosts. Nothing was changed." in said.out
    assert "\x1b" not in said.out


def test_an_error_speaks_chinese(cli: Cli) -> None:
    assert "未匹配任何主机" in cli("--lang", "zh", "verify", "--limit", "his-web").err


def test_a_wrong_parameter_stops_before_any_host_is_asked(cli: Cli) -> None:
    variables = cli.folder / "inventory/group_vars/servers.yml"
    variables.write_text("password_quality_enforced_minlen: long\n", encoding="utf-8")
    said = cli("verify")
    assert said.code == 2
    for part in ("his-app", "password_quality_enforced_minlen", "'long'"):
        assert part in said.err
    assert not (cli.folder / "runs").exists()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_command_explains_itself(language: str) -> None:
    group = build(language)  # type: ignore[arg-type]
    for name, command in group.commands.items():
        assert command.help, name
        chinese = any("一" <= character <= "鿿" for character in command.help)
        assert chinese is (language == "zh"), f"{name}: {command.help}"


def test_controls_lists_the_catalogue(cli: Cli) -> None:
    said = cli("--lang", "zh", "controls")
    assert said.code == 0
    assert "root_login_refused" in said.out
    assert "禁止 root 通过 SSH 直接登录" in said.out


def test_explain_a_clause_shows_item_and_controls(cli: Cli) -> None:
    said = cli("explain", "8.1.4.1 c)")
    assert said.code == 0
    assert "NW-10" in said.out
    assert "root_login_refused" in said.out


def test_init_makes_a_folder_that_verify_can_read(cli: Cli) -> None:
    assert cli("init", "site").code == 0
    assert (cli.folder / "site/inventory/group_vars/all/ledger.yml").is_file()
    assert "root_login_refused" in cli("controls").out
    assert cli("verify", "-i", "site/inventory", "--limit", "nobody").code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_files(cli: Cli, shell: str) -> None:
    assert "_MEDSEC_COMPLETE" in cli("completion", shell).out


@pytest.mark.parametrize(
    ("arguments", "environment", "language"),
    [
        (["--lang", "zh"], {"LANG": "en_US.UTF-8"}, "zh"),
        (["--lang=en"], {"LANG": "zh_CN.UTF-8"}, "en"),
        ([], {"LANG": "zh_CN.GBK"}, "zh"),
        ([], {"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ([], {"MEDSEC_LANG": "zh"}, "zh"),
        ([], {}, "en"),
    ],
)
def test_the_language_is_chosen(arguments: list[str], environment: dict[str, str], language: str) -> None:
    assert choose(arguments, environment) == language


def test_tables_align_chinese() -> None:
    lines = table(["检查项", "x"], [["NW-10", "y"]]).splitlines()
    assert width(lines[0].rsplit("x", 1)[0]) == width(lines[1].rsplit("y", 1)[0])
