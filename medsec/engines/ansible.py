"""The Ansible engine: `ansible-playbook` of the same environment, with a callback that tells what happens."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from medsec.catalogue.controls import Control
from medsec.catalogue.indexes import defaults, harden_playbook, tasks
from medsec.engines import tuning
from medsec.engines.base import EngineError, EngineName, EngineResult, Event, OnEvent, Status, Work
from medsec.engines.child import child, in_memory
from medsec.engines.jumps import jump_config
from medsec.engines.reasons import why
from medsec.inventory import Host, effective
from medsec.inventory.loading import ansible_config
from medsec.inventory.passwords import STANDARD
from medsec.text import says

_LOG_OUT_SECONDS = 5
_PATIENCE = 120  # seconds beyond the longest task after which a silent engine is stopped

# ansible-playbook: 0 all well, 2 a host failed, 4 a host was unreachable; anything else means that it did not work.
_ANSWERED = {0, 2, 4, 6, 8}

# What Ansible says both of a broken connection and of an interpreter that is not there to take what is piped to it.
_UNSENT = "Data could not be sent to remote host"
_PYTHON = """\
---
- name: Look for Python
  hosts: all
  gather_facts: false
  tasks:
    - name: Look for Python
      ansible.builtin.raw: >-
        command -v {{ ansible_python_interpreter | default('/usr/bin/python3') }} > /dev/null
        || { echo 'python: not found' >&2; exit 127; }
      check_mode: false
"""


_ARGUMENTS = "ansible_ssh_common_args"


class AnsibleEngine:
    """Changes hosts by Ansible's own command line."""

    name: EngineName = "ansible"

    def __init__(self) -> None:
        self._shared: Path | None = None

    @contextmanager
    def together(self) -> Iterator[None]:
        """See `medsec.engines.base.Engine.together`: one login a host, and its facts gathered once."""
        with _folder() as folder:
            self._shared = folder
            try:
                yield
            finally:
                self._shared = None

    def run(self, work: Work, on_event: OnEvent) -> EngineResult:
        """Run the remedies of `work` (see `medsec.engines.base.Engine.run`).

        Ansible gives a host up at its first failed task. What stands behind a failed control is therefore run again
        without it, until every control has had its turn. The hosts of one run walk in step, so that a site's limit makes
        several runs, one after the other.
        """
        _validate(work)
        result = EngineResult.of(work)
        left = work.trimmed()
        with nullcontext(self._shared) if self._shared else _folder() as folder:
            while left.todo:
                for hosts in left.batches(list(left.todo)):
                    part = replace(left, todo={host: left.todo[host] for host in hosts})
                    _Run(part, result, on_event, folder).run()
                left = _behind_failures(left, result)
            if not result.complete:
                _log_out(folder)  # a login that went through what failed may hang, or hold what was taken back
        return result


def _validate(work: Work) -> None:
    """Refuse a wrong parameter before anything is changed, as the other engine does."""
    for name in work.todo:
        for control in work.ordered(name):
            effective(control, work.inventory.hosts[name], work.inventory.ledger)


def _behind_failures(work: Work, result: EngineResult) -> Work:
    """Return what `work` has not come to, because a control before it failed on the same host."""
    todo: dict[str, list[str]] = {}
    for host in work.todo:
        if host in result.unreachable:
            continue
        rest = [control.id for control in work.ordered(host) if _untried(result, host, control.id)]
        if rest and len(rest) < len(work.ordered(host)):
            todo[host] = rest
    return replace(work, todo=todo)


def _untried(result: EngineResult, host: str, control: str) -> bool:
    outcome = result.outcomes[host, control]
    return not outcome.finished and outcome.failed is None


class _Run:
    """One run of ansible-playbook."""

    def __init__(self, work: Work, result: EngineResult, on_event: OnEvent, folder: Path) -> None:
        self._work = work
        self._result = result
        self._on_event = on_event
        self._folder = folder
        self._entered: dict[str, list[str]] = {host: [] for host in work.todo}
        self._stopped: set[str] = set()
        self._doubtful: dict[str, Event] = {}

    def run(self) -> None:
        families = self._roles()
        for message in self._play("harden.yml", harden_playbook(families), list(self._work.todo)):
            if message["type"] == "entered":
                self._entered[message["host"]].append(message["control"])
            else:
                self._take(_event(message))
        if self._doubtful:
            self._look_for_python()
        for host in self._work.todo:
            self._conclude(host)

    def _play(self, name: str, text: str, hosts: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """Run a playbook on `hosts` and yield what its callback tells."""
        ended = False
        with (
            in_memory(self._passwords().encode()) as passwords,
            child(
                [*self._command(name, text, hosts), "--inventory", f"/dev/fd/{passwords.fileno()}"],
                env=_environment(self._work, self._folder),
                keep=[passwords.fileno()],
            ) as process,
        ):
            for message in process.lines(silence=self._work.seconds_per_task + _PATIENCE):
                if message["type"] == "end":
                    ended = True
                else:
                    yield message
            code = process.wait()
            if not ended or code not in _ANSWERED:
                words = process.last_words()
                raise EngineError(
                    says(
                        en=f"ansible-playbook stopped before it was done (exit code {code}): {words}",
                        zh=f"ansible-playbook 未完成即退出（退出码 {code}）：{words}",
                    )
                )

    def _take(self, event: Event) -> None:
        unreachable = event.status is Status.UNREACHABLE
        if event.status is Status.FAILED or unreachable:
            self._stopped.add(event.host)
        if unreachable and event.control is None and _UNSENT in (event.message or ""):
            self._doubtful[event.host] = event
            return
        if unreachable or (event.control is None and event.status is Status.FAILED):
            event = replace(event, message=why(event.message or ""))
            self._result.unreachable[event.host] = event.message or ""
        if event.control is not None:
            outcome = self._result.outcomes[event.host, event.control]
            # In a plan a task may stumble over what an earlier task would have put right.
            stumbled = self._work.mode == "plan" and event.status is Status.FAILED
            if stumbled and outcome.changed + outcome.unknown:
                event = replace(event, status=Status.UNKNOWN)
            outcome.take(event)
        if event.control is not None or event.status not in {Status.OK, Status.CHANGED}:
            self._on_event(event)

    def _look_for_python(self) -> None:
        """Tell hosts without Python from hosts whose connection broke: both refuse what is piped to them."""
        doubtful, self._doubtful = self._doubtful, {}
        for message in self._play("python.yml", _PYTHON, list(doubtful)):
            if message["type"] == "event" and message["status"] in {"failed", "unreachable"}:
                doubtful[message["host"]] = replace(doubtful[message["host"]], message=message["message"])
        for event in doubtful.values():
            words = (event.message or "").replace(_UNSENT, "connection lost")
            self._take(replace(event, message=words))

    def _conclude(self, host: str) -> None:
        """Say which controls of `host` ran to their end."""
        entered = self._entered[host]
        stopped_in = entered[-1] if host in self._stopped and entered else None
        for control in self._work.ordered(host):
            outcome = self._result.outcomes[host, control.id]
            if control.id in entered:
                outcome.reached = True
                outcome.finished = outcome.failed is None and (
                    control.id != stopped_in or (self._work.mode == "plan" and outcome.unknown > 0)
                )
            elif host in self._result.unreachable:
                outcome.failed = self._result.unreachable[host]
            elif host not in self._stopped:
                outcome.failed = says(
                    en="Ansible did not enter this control: its index in the role is stale, run `medsec build`",
                    zh="Ansible 未执行该控制项：角色索引已过期，请运行 `medsec build`",
                )

    def _command(self, name: str, text: str, hosts: Sequence[str]) -> list[str]:
        play = self._write(name, text)
        todo = self._write("todo.json", json.dumps({"medsec_todo": dict(self._work.todo)}))
        values = self._write("values.yml", self._values())
        limit = self._write("hosts", "\n".join(hosts) + "\n")
        inventory = self._work.inventory.path
        source = inventory / "hosts.yml" if inventory.is_dir() else inventory
        # Ansible of this very environment; -P keeps a folder of the operator's called `ansible` out of the way.
        command = [sys.executable, "-P", "-m", "ansible", "playbook", str(play)]
        command += ["--inventory", str(source), "--inventory", str(values)]
        command += ["--limit", f"@{limit}", "--extra-vars", f"@{todo}", "--forks", str(self._work.forks)]
        return [*command, "--check", "--diff"] if self._work.mode == "plan" else command

    def _values(self) -> str:
        """Return an inventory with the parameters in force, which are then the same ones as for the other engine."""
        hosts: dict[str, dict[str, Any]] = {}
        for name in self._work.todo:
            host = self._work.inventory.hosts[name]
            for control in self._work.ordered(name):
                params = effective(control, host, self._work.inventory.ledger)
                hosts.setdefault(name, {}).update(params.variables())
            if host.login.jump and name in hosts:
                hosts[name][_ARGUMENTS] = self._by_jump_hosts(host)
        return yaml.dump({"all": {"hosts": hosts}}, Dumper=_Literal, allow_unicode=True)

    def _passwords(self) -> str:
        """Return an inventory with the passwords for sudo, for no disk."""
        hosts: dict[str, dict[str, str]] = {}
        for name in self._work.todo:
            password = self._work.inventory.hosts[name].login.password
            hosts[name] = {} if password is None else {STANDARD[0]: password.reveal()}
        return yaml.dump({"all": {"hosts": hosts}}, Dumper=_Literal, allow_unicode=True)

    def _by_jump_hosts(self, host: Host) -> str:
        """Return ssh's arguments for a host behind jump hosts, to which the inventory's key and host keys apply as well.

        OpenSSH would take for them what `~/.ssh/config` says and nothing else.
        """
        said = str(host.variables.get(_ARGUMENTS, ""))
        path = self._write(f"ssh-{len(list(self._folder.glob('ssh-*')))}", jump_config(host.login))
        # A configuration that the inventory names itself stays in force.
        return said if "-F" in said.split() else f"{said} -F {path}"

    def _roles(self) -> list[str]:
        """Lay out the roles that the work needs, each with an index of just the controls that it needs."""
        wanted = {control for controls in self._work.todo.values() for control in controls}
        families: dict[str, list[Control]] = {}
        for control in self._work.controls.values():
            if control.id in wanted:
                families.setdefault(control.family, []).append(control)
        for family, members in families.items():
            _lay_out(members[0].home.parents[1], self._folder / "roles" / family, members)
        return list(families)

    def _write(self, name: str, text: str) -> Path:
        path = self._folder / name
        path.write_text(text, encoding="utf-8")
        return path


def _lay_out(family: Path, role: Path, members: list[Control]) -> None:
    """Make `role` what `family` is, but for indexes that name `members` only."""
    shutil.rmtree(role, ignore_errors=True)
    indexes = {"tasks/main.yml": tasks(members), "defaults/main.yml": defaults(members)}
    for name, text in indexes.items():
        (role / name).parent.mkdir(parents=True)
        (role / name).write_text(text, encoding="utf-8")
    for part in family.glob("tasks/*.yml"):
        if part.name != "main.yml":
            (role / "tasks" / part.name).symlink_to(part)
    for part in family.iterdir():
        if part.is_dir() and part.name not in {"tasks", "defaults", "meta"}:
            (role / part.name).symlink_to(part)


class _Literal(yaml.SafeDumper):
    """Writes text such that Ansible takes it as it stands, braces and all."""

    def represent_data(self, data: Any) -> Any:
        if isinstance(data, str):
            braces = any(mark in data for mark in ("{{", "{%", "{#"))
            return self.represent_scalar("!unsafe" if braces else "tag:yaml.org,2002:str", str(data))
        return super().represent_data(data)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _event(message: Mapping[str, Any]) -> Event:
    return Event(
        host=message["host"],
        control=message["control"],
        task=message["task"],
        status=Status(message["status"]),
        diff=message["diff"],
        message=message["message"],
    )


def _environment(work: Work, folder: Path) -> dict[str, str]:
    config = _config(work, folder)
    return {
        **os.environ,
        **tuning.environment(strategy=not _by_mitogen(config)),
        "ANSIBLE_CONFIG": str(config),
        "ANSIBLE_ROLES_PATH": str(folder / "roles"),
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).with_name("callback")),
        "ANSIBLE_STDOUT_CALLBACK": "medsec_events",
        # What one run has learned of a host, the next run that shares the folder need not ask for.
        "ANSIBLE_GATHERING": "smart",
        "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(folder / "facts"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "cp"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_TIMEOUT": str(work.seconds_to_connect),
        "ANSIBLE_TASK_TIMEOUT": str(work.seconds_per_task),
        "PYTHONUNBUFFERED": "1",
    }


def _config(work: Work, folder: Path) -> Path:
    """Return the site's own `ansible.cfg` (it may name a vault's password file), or an empty one."""
    own = ansible_config(work.inventory.path)
    if own is not None:
        return own
    empty = folder / "ansible.cfg"
    empty.touch()
    return empty


def _by_mitogen(config: Path) -> bool:
    """Tell whether the site has chosen one of Mitogen's strategies, the only ones that it may choose."""
    said = ConfigParser(interpolation=None, strict=False)
    # Ansible reads it as well, and says what is wrong with it.
    with suppress(ConfigParserError, UnicodeDecodeError):
        said.read(config, encoding="utf-8")
    return said.get("defaults", "strategy", fallback="").startswith("mitogen")


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder (mode 0700) for what a run needs; its ssh masters are told to leave before it goes."""
    with tempfile.TemporaryDirectory(prefix="medsec-", dir="/tmp") as name:  # sockets need a short path
        folder = Path(name)
        try:
            yield folder
        finally:
            _log_out(folder)


def _log_out(folder: Path) -> None:
    """End the logins that a run keeps; one that does not answer is left to its own end, and nobody uses it again."""
    for socket in (folder / "cp").glob("*"):
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(
                ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "medsec"],
                capture_output=True,
                timeout=_LOG_OUT_SECONDS,
                check=False,  # a master that is gone already is what is wanted
            )
        socket.unlink(missing_ok=True)
