"""The SSH daemons of a host: which listen, how each was started, and what each applies to a connection."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from itertools import product

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import says

DEFAULT_CONFIG = "/etc/ssh/sshd_config"
_SEPARATOR = "==== medsec ===="

# One listening socket a line: process id, executable, arguments. The daemon shows its own command line in its title
# ("sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"). A socket-activated sshd has no process of its own:
# systemd listens, and the configuration is read anew for each connection.
_LISTENERS = r"""
export LC_ALL=C
ss -H -lntp | grep -oE 'pid=[0-9]+' | sort -u | cut -d= -f2 | while read -r pid; do
  exe=$(readlink "/proc/$pid/exe") || continue
  printf '%s\t%s\t%s\n' "$pid" "$exe" "$(tr '\0' ' ' < "/proc/$pid/cmdline")"
done
"""


@dataclass(frozen=True)
class Daemon:
    """One running SSH daemon."""

    pid: int
    executable: str
    options: tuple[str, ...]

    @property
    def is_openssh(self) -> bool:
        return self.executable.removesuffix(" (deleted)").endswith("/sshd")

    @property
    def config(self) -> str:
        """Return the path of its configuration file: `-f FILE` where it was started so."""
        given = [value for flag, value in zip(self.options, self.options[1:], strict=False) if flag == "-f"]
        return given[-1] if given else DEFAULT_CONFIG

    @property
    def override(self) -> tuple[str, ...]:
        """Return the options that change its settings (`-f FILE`, `-o Name=value`), to ask `sshd -T` the same."""
        words: list[str] = []
        rest = iter(self.options)
        for word in rest:
            if word in ("-f", "-o"):
                words += [word, next(rest, "")]
            elif word.startswith("-o"):
                words.append(word)
        return tuple(words)


OTHER_SSH_SERVERS = ("dropbear", "tinysshd", "lshd", "wolfsshd")


def daemons(host: Host) -> list[Daemon]:
    """Return the SSH daemons that listen on `host`, or the one that systemd starts for each connection.

    Raises ProbeError when `ss` is missing, or no SSH daemon can be found (we came in through one).
    """
    answer = host.run(_LISTENERS)
    if answer.rc != 0 or not answer.stdout.strip():
        raise ProbeError(
            says(
                en=f"the listening processes cannot be read (ss from iproute2, as root): {answer.stderr.strip()}",
                zh=f"无法读取监听进程（需要 iproute2 的 ss 命令和 root 权限）：{answer.stderr.strip()}",
            )
        )
    found = parse_listeners(answer.stdout)
    if not found and _systemd_listens_for_ssh(host):
        found = [Daemon(pid=1, executable="/usr/sbin/sshd", options=())]
    if not found:
        raise ProbeError(
            says(en="no SSH daemon is listening on this host", zh="该主机上没有正在监听的 SSH 服务进程")
        )
    return found


def parse_listeners(output: str) -> list[Daemon]:
    """Return the SSH daemons among listening processes, given as lines of pid, executable and command line."""
    found = []
    for line in output.splitlines():
        pid, executable, arguments = line.split("\t", 2)
        name = executable.removesuffix(" (deleted)").rsplit("/", 1)[-1]
        if name == "sshd":
            title = re.match(r"sshd: (.*?) \[listener\]", arguments)
            words = shlex.split(title.group(1) if title else arguments)
            found.append(Daemon(int(pid), executable, tuple(words[1:])))
        elif name in OTHER_SSH_SERVERS:
            found.append(Daemon(int(pid), executable, tuple(arguments.split()[1:])))
    return found


def _systemd_listens_for_ssh(host: Host) -> bool:
    answer = host.run("systemctl is-active --quiet ssh.socket || systemctl is-active --quiet sshd.socket")
    return bool(answer.rc == 0)


def config_texts(host: Host, daemon: Daemon) -> dict[str, str]:
    """Return the text of the daemon's configuration file and of all that it includes, by path."""
    texts: dict[str, str] = {}
    wanted = [daemon.config]
    while wanted:
        patterns = " ".join(_shell_pattern(pattern) for pattern in wanted)
        script = (
            f'for f in {patterns}; do [ -f "$f" ] && printf "{_SEPARATOR}%s\\n" "$f" && cat -- "$f"; done; true'
        )
        answer = host.run(script)
        fresh: dict[str, str] = {}
        for part in answer.stdout.split(_SEPARATOR)[1:]:
            path, _, text = part.partition("\n")
            fresh[path] = text
        wanted = [
            pattern if pattern.startswith("/") else f"/etc/ssh/{pattern}"
            for path, text in fresh.items()
            if path not in texts
            for pattern in _included(text)
        ]
        texts = fresh | texts
    if daemon.config not in texts:
        raise ProbeError(says(en=f"{daemon.config} cannot be read", zh=f"无法读取 {daemon.config}"))
    return texts


def _shell_pattern(pattern: str) -> str:
    """Quote a path but leave its wildcards to the shell."""
    return re.sub(r"[^\w./*?\[\]-]", lambda match: "\\" + match.group(0), pattern)


def _included(text: str) -> list[str]:
    return [
        pattern
        for line in text.splitlines()
        if (match := re.match(r"\s*include[\s=]+(.+)", line, re.IGNORECASE))
        for pattern in shlex.split(match.group(1), comments=True)
    ]


def connections(texts: dict[str, str], user: str) -> list[str]:
    """Return `sshd -C` specifications under which each `Match` block of the configuration would be met.

    The first is an ordinary connection; so a setting that only one address, host name or port gets is seen too.
    """
    ordinary = {"user": user, "host": "client.invalid", "addr": "192.0.2.1", "laddr": "192.0.2.2", "lport": "22"}
    specifications = [ordinary]
    for text in texts.values():
        for line in text.splitlines():
            match = re.match(r"\s*match[\s=]+(.+)", line, re.IGNORECASE)
            if match:
                specifications += [{**ordinary, **case} for case in _cases(match.group(1))]
    unique = {",".join(f"{key}={value}" for key, value in case.items()): None for case in specifications}
    return list(unique)


_CRITERIA = {"address": "addr", "host": "host", "localaddress": "laddr", "localport": "lport"}


def _cases(criteria: str) -> list[dict[str, str]]:
    words = shlex.split(criteria.replace("=", " "), comments=True)
    choices: list[list[tuple[str, str]]] = []
    for name, values in zip(words[::2], words[1::2], strict=False):
        key = _CRITERIA.get(name.lower())
        if key:
            choices.append([(key, _example(value)) for value in values.split(",") if not value.startswith("!")])
    return [dict(case) for case in product(*choices)]


def _example(pattern: str) -> str:
    """Return a value that the pattern or CIDR network matches."""
    address, slash, _ = pattern.partition("/")
    if slash:
        return address
    return pattern.replace("*", "1").replace("?", "1")


def effective(host: Host, daemon: Daemon, specifications: list[str]) -> list[dict[str, list[str]]]:
    """Return what `sshd -T` says of each connection specification: setting (lower case) to its values.

    Asked with the options that the running daemon was started with. Raises ProbeError when sshd refuses.
    """
    binary = shlex.quote(daemon.executable.removesuffix(" (deleted)"))
    override = shlex.join(daemon.override)
    asked = "; ".join(
        f"echo {shlex.quote(_SEPARATOR)}; {binary} -T {override} -C {shlex.quote(case)} 2>&1 || echo {_SEPARATOR}failed"
        for case in specifications
    )
    answer = host.run(f"export LC_ALL=C; {asked}")
    if f"{_SEPARATOR}failed" in answer.stdout:
        problem = answer.stdout.replace(_SEPARATOR, "").strip().splitlines()[0]
        raise ProbeError(
            says(en=f"sshd -T cannot read its configuration: {problem}", zh=f"sshd -T 无法读取配置：{problem}")
        )
    return [parse_settings(part) for part in answer.stdout.split(_SEPARATOR + "\n")[1:]]


def parse_settings(output: str) -> dict[str, list[str]]:
    """Return the settings that `sshd -T` printed, each with its values in order."""
    settings: dict[str, list[str]] = {}
    for line in output.splitlines():
        name, _, value = line.partition(" ")
        settings.setdefault(name.lower(), []).append(_NORMAL.get(value, value))
    return settings


# sshd -T prints the old name of one value.
_NORMAL = {"without-password": "prohibit-password"}


def changed_since_load(host: Host, daemon: Daemon, paths: list[str]) -> list[str]:
    """Return the configuration files that changed after the daemon last read them.

    When it last read them is what its journal says ("Server listening", logged at start and at each reload), or its
    start where the journal is silent. A daemon that reads them for each connection (socket activation) is never late.
    """
    if daemon.pid == 1:
        return []
    # A folder changes when a drop-in is removed from it.
    folders = {path.rsplit("/", 1)[0] for path in paths} - {"/etc/ssh"}
    names = shlex.join([*paths, *sorted(folders)])
    script = (
        "export LC_ALL=C; "
        f"now=$(date +%s); age=$(ps -o etimes= -p {daemon.pid}); echo $((now - age)); "
        f"journalctl -q -o short-unix _PID={daemon.pid} | grep 'Server listening on' | tail -n 1 | cut -d' ' -f1; "
        f"echo {_SEPARATOR}; stat -c '%.6Z %n' -- {names}"
    )
    answer = host.run(script)
    times, separator, files = answer.stdout.partition(_SEPARATOR + "\n")
    loaded = [float(word) for word in times.split() if re.fullmatch(r"[0-9.]+", word)]
    if answer.rc != 0 or not separator or not loaded:
        raise ProbeError(
            says(
                en=f"when sshd (pid {daemon.pid}) read its settings cannot be told: {answer.stderr.strip()}",
                zh=f"无法判断 sshd（进程 {daemon.pid}）何时读取了配置：{answer.stderr.strip()}",
            )
        )
    # `ps` counts whole seconds; a file written within the second of the start is not late.
    last = max(loaded)
    return [line.split(" ", 1)[1] for line in files.splitlines() if float(line.split(" ", 1)[0]) > last + 1]
