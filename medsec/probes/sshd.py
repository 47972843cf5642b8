"""The SSH daemons of a host: which listen, how each was started, and what each applies to a connection."""

from __future__ import annotations

import ipaddress
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import says

DEFAULT_CONFIG = "/etc/ssh/sshd_config"
_SEPARATOR = "==== medsec ===="

# One listening process a line: its id, executable, whether it sees the files that we see, and arguments. The daemon shows
# its own name and command line in its title ("sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"). An sshd that systemd
# starts for each connection has no process of its own: process 1 listens, and the unit tells the command.
_LISTENERS = r"""
export LC_ALL=C
command -v ss > /dev/null || exit 3
ss -H -lntp | grep -oE 'pid=[0-9]+' | sort -u | cut -d= -f2 | while read -r pid; do
  exe=$(readlink "/proc/$pid/exe") || continue
  if [ "/proc/$pid/ns/mnt" -ef /proc/self/ns/mnt ]; then sees=same; else sees=other; fi
  printf '%s\t%s\t%s\t%s\n' "$pid" "$exe" $sees "$(tr '\0' ' ' < "/proc/$pid/cmdline")"
done
sockets=$(systemctl list-units --type=socket --state=active --plain --no-legend | sed 's/ .*//')
started=$(systemctl show --property=MainPID --property=ExecStart --property=Environment --property=EnvironmentFiles \
  $(systemctl show --property=Triggers --value $sockets) $(printf '%s\n' "$sockets" | sed 's/socket$/@medsec.service/; s/\.@/@/') |
  awk 'BEGIN { RS = ""; ORS = "\n\n" } /ExecStart=[^\n]*ssh/ && /MainPID=0/')
printf '%s\n' "$started"
printf '%s\n' "$started" | sed -n 's/^EnvironmentFiles=\(.*\) (.*/\1/p' | while read -r file; do cat "$file" 2> /dev/null; done
true
"""


@dataclass(frozen=True)
class Daemon:
    """One running SSH daemon."""

    pid: int
    executable: str
    options: tuple[str, ...]
    # Whether it sees other files than we do: a unit may lay its own over /etc/ssh.
    apart: bool = False

    @property
    def is_openssh(self) -> bool:
        return self.executable.removesuffix(" (deleted)").rsplit("/", 1)[-1] not in OTHER_SSH_SERVERS

    @property
    def config(self) -> str:
        """Return the path of its configuration file: `-f FILE` where it was started so."""
        return next((value for flag, value in reversed(self.option_values) if flag == "-f"), DEFAULT_CONFIG)

    @property
    def override(self) -> tuple[str, ...]:
        """Return the options that change its settings (`-f FILE`, `-o Name=value`), to ask `sshd -T` the same."""
        return tuple(word for pair in self.option_values for word in pair)

    @property
    def option_values(self) -> list[tuple[str, str]]:
        """Its options -f, -o and -p with their values, as getopt(3) takes them: `-f FILE`, `-fFILE`, `-Def FILE`."""
        found = []
        # sshd takes no other words: what does not begin with a dash belongs to the option before it.
        for group in re.findall(r"(?:^|(?<=\x00))-[^\x00]+(?:\x00(?!-)[^\x00]*)*", "\0".join(self.options)):
            letters = re.match(r"-([46DGQRTVdeiqrt]*)([fop])\x00?(.*)", group, re.DOTALL)
            if letters:
                found.append((f"-{letters[2]}", letters[3].replace("\0", " ")))
        return found


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
    if not found:
        raise ProbeError(
            says(en="no SSH daemon is listening on this host", zh="该主机上没有正在监听的 SSH 服务进程")
        )
    apart = [daemon for daemon in found if daemon.apart]
    if apart:
        raise ProbeError(
            says(
                en=f"sshd (pid {apart[0].pid}) sees other files than we do (a mount namespace of its own), so that its "
                "settings cannot be asked; take BindPaths= and the like from its unit",
                zh=f"sshd（进程 {apart[0].pid}）运行在独立的挂载命名空间中，无法查询其配置；请去除其服务单元中的 BindPaths= 等设置",
            )
        )
    return found


def parse_listeners(output: str) -> list[Daemon]:
    """Return the SSH daemons among listening processes and the services that systemd starts for a connection.

    + output: lines of pid, executable, `same` or `other`, and command line; then the properties of services as
      `systemctl show` prints them, and the text of their environment files
    """
    found = []
    said: list[str] = []
    for line in output.splitlines():
        if re.match(r"[0-9]+\t", line):
            pid, executable, sees, arguments = line.split("\t", 3)
            name = executable.removesuffix(" (deleted)").rsplit("/", 1)[-1]
            title = re.match(r"\S+: (/.*?) \[listener\] [0-9]+ of", arguments)
            if name == "sshd" or title:
                words = shlex.split(title.group(1) if title else arguments)
                found.append(Daemon(int(pid), executable, tuple(words[1:]), apart=sees == "other"))
            elif name in OTHER_SSH_SERVERS:
                found.append(Daemon(int(pid), executable, tuple(arguments.split()[1:])))
        else:
            said.append(line)
    return list(dict.fromkeys([*found, *_started(said)]))


def _started(said: list[str]) -> Iterator[Daemon]:
    """Yield the SSH daemons that systemd starts for a connection, from what `systemctl show` says of the services."""
    values: dict[str, str] = {}
    for line in said:
        pairs = shlex.split(line.partition("=")[2]) if line.startswith("Environment=") else [line]
        for pair in pairs:
            if found := re.fullmatch(r"\s*([A-Za-z_]\w*)=(.*)", pair):
                values[found[1]] = found[2].strip("\"' ")
    for line in said:
        command = re.search(r"^ExecStart=.*path=(\S+) ; argv\[\]=(.*?) ; ignore_errors", line)
        if command and re.search(rf"(^|[/ ])({'|'.join(('sshd', *OTHER_SSH_SERVERS))})( |$)", command[2]):
            yield _of_command(command[1], command[2], values)


def _of_command(path: str, command: str, values: Mapping[str, str]) -> Daemon:
    name = path.rsplit("/", 1)[-1]
    if name != "sshd" and name not in OTHER_SSH_SERVERS:
        raise ProbeError(
            says(
                en=f"systemd starts an SSH server for each connection by {command!r}; let the unit start sshd itself",
                zh=f"systemd 以 {command!r} 为每个连接启动 SSH 服务，无法核查；请在服务单元中直接启动 sshd",
            )
        )
    words = re.sub(r"\$\{?(\w+)\}?", lambda match: values.get(match[1], ""), command)
    return Daemon(1, path, tuple(shlex.split(words)[1:]))


def superusers(host: Host) -> list[str]:
    """Return the accounts with the user id 0, `root` first: sshd holds all of them for root."""
    answer = host.run("getent passwd")
    rows = [line.split(":") for line in answer.stdout.splitlines()]
    names = [row[0] for row in rows if len(row) > 2 and row[2] == "0"]
    if answer.rc != 0 or not names:
        raise ProbeError(
            says(
                en=f"getent passwd failed: {answer.stderr.strip()}",
                zh=f"getent passwd 失败：{answer.stderr.strip()}",
            )
        )
    return sorted(set(names), key=lambda name: (name != "root", name))


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
        if (match := re.match(r"\s*\"?include\"?[\s=]+(.+)", line, re.IGNORECASE))
        for pattern in shlex.split(match.group(1), comments=True)
    ]


_ORDINARY = {"host": "client.invalid", "addr": "192.0.2.1", "laddr": "192.0.2.2", "lport": "22"}
_MOST_CONNECTIONS = 600


def connections(texts: dict[str, str], users: Sequence[str], daemon: Daemon) -> list[dict[str, str]]:
    """Return connections (as `sshd -C` takes them) that meet each `Match` block, and that meet none, for each user.

    The first is an ordinary one. What a block is for is combined with what another is for, and what a block leaves out
    (`!10.1.1.1`), where a network begins and ends, and each port of the daemon are tried: a setting that holds for one
    of them only is seen. Raises ProbeError where that makes too many.
    """
    lines = [line for text in texts.values() for line in text.splitlines()]
    values: dict[str, list[str]] = {key: [value] for key, value in _ORDINARY.items()}
    for line in lines:
        match = re.match(r"\s*\"?match\"?[\s=]+(.+)", line, re.IGNORECASE)
        if match:
            words = shlex.split(match.group(1).replace("=", " "), comments=True)
            for name, patterns in zip(words[::2], words[1::2], strict=False):
                key = _CRITERIA.get(name.lower())
                if key:
                    values[key] += [
                        example for pattern in patterns.split(",") for example in _examples(key, pattern)
                    ]
    for key, other in (("addr", "2001:db8::1"), ("laddr", "2001:db8::2")):
        values[key] += [other] if len(values[key]) > 1 else []
    if len(values["lport"]) > 1:
        said = [*lines, *(value for flag, value in daemon.option_values if flag == "-o")]
        ports = [found[1] for line in said if (found := _PORT.match(line))]
        ports += [value for flag, value in daemon.option_values if flag == "-p"]
        values["lport"] = [*(ports or ["22"]), *values["lport"][1:]]
    choices = [list(dict.fromkeys(row)) for row in ([*users], *values.values())]
    if math.prod(map(len, choices)) > _MOST_CONNECTIONS:
        raise ProbeError(
            says(
                en=f"the Match blocks of sshd make more than {_MOST_CONNECTIONS} cases to try; put settings for all of "
                "them before the first block, or use fewer blocks",
                zh=f"sshd 的 Match 块组合超过 {_MOST_CONNECTIONS} 种情形，无法逐一核查；请精简 Match 块",
            )
        )
    return [dict(zip(("user", *values), case, strict=True)) for case in product(*choices)]


_CRITERIA = {
    "address": "addr",
    "host": "host",
    "localaddress": "laddr",
    "localport": "lport",
    "rdomain": "rdomain",
}
_PORT = re.compile(r"\s*\"?(?:port|listenaddress[\s=]+\S*?:(?=[0-9]+\s*$))\"?[\s=]*\"?([0-9]+)", re.IGNORECASE)


def _examples(key: str, pattern: str) -> list[str]:
    """Return values that the pattern or CIDR network matches, whether it is one that a block wants or leaves out."""
    pattern = pattern.removeprefix("!")
    if "/" in pattern:
        try:
            network = ipaddress.ip_network(pattern, strict=False)
        except ValueError:
            return [pattern.partition("/")[0]]
        return [str(network.network_address), str(network.broadcast_address)]
    return [pattern.replace("*", "1").replace("?", "1")]


WHO_MAY_LOG_IN = "permitroot|denyu|allowu|usepam"


def effective(
    host: Host, daemon: Daemon, cases: Sequence[Mapping[str, str]], wanted: str = WHO_MAY_LOG_IN
) -> list[dict[str, list[str]]]:
    """Return what `sshd -T` says for each connection: setting (lower case) to its values.

    + wanted: how the settings begin that are brought along, as `grep -E` takes it

    Asked with the options that the running daemon was started with. Raises ProbeError when sshd refuses.
    """
    binary = shlex.quote(daemon.executable.removesuffix(" (deleted)"))
    asked = " ".join(shlex.quote(specification(case)) for case in cases)
    answer = host.run(
        f'export LC_ALL=C; for case in {asked}; do said=$({binary} -T {shlex.join(daemon.override)} -C "$case" 2>&1) '
        f"|| {{ echo {_SEPARATOR}failed; printf '%s\\n' \"$said\"; break; }}; echo {shlex.quote(_SEPARATOR)}; "
        f"printf '%s\\n' \"$said\" | grep -E '^({wanted})'; done"
    )
    found = [parse_settings(part) for part in answer.stdout.split(_SEPARATOR + "\n")[1:]]
    if f"{_SEPARATOR}failed" in answer.stdout or len(found) != len(cases):
        problem = answer.stdout.partition(f"{_SEPARATOR}failed")[2].strip() or answer.stderr.strip() or "-"
        raise ProbeError(
            says(
                en=f"sshd -T cannot read its configuration: {problem.splitlines()[0]}",
                zh=f"sshd -T 无法读取配置：{problem.splitlines()[0]}",
            )
        )
    return found


def names(pattern: str, user: str) -> bool:
    """Return whether an entry of AllowUsers may be meant for `user`, from wherever he comes (`ro*`, `root@10.*`)."""
    expression = re.escape(pattern.rpartition("@")[0] or pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, user) is not None


def specification(case: Mapping[str, str]) -> str:
    """Return a connection as `sshd -C` takes it."""
    return ",".join(f"{key}={value}" for key, value in case.items())


def parse_settings(output: str) -> dict[str, list[str]]:
    """Return the settings that `sshd -T` printed, each with its values in order."""
    settings: dict[str, list[str]] = {}
    for line in output.splitlines():
        name, _, value = line.partition(" ")
        settings.setdefault(name.lower(), []).append(_NORMAL.get(value, value))
    return settings


# sshd -T prints the old name of one value.
_NORMAL = {"without-password": "prohibit-password"}


def changed_since_load(host: Host, daemon: Daemon, texts: Mapping[str, str]) -> list[str]:
    """Return the configuration files, and the folders of drop-ins, that changed after the daemon last read them.

    When it last read them is what its journal says ("Server listening", logged at start and at each reload), or its
    start where the journal is silent. A daemon that reads them for each connection (socket activation) is never late.
    """
    if daemon.pid == 1:
        return []
    # A folder changes when a drop-in is removed from it, also the last one.
    patterns = [pattern for text in texts.values() for pattern in _included(text)]
    folders = {("" if pattern.startswith("/") else "/etc/ssh/") + pattern for pattern in patterns}
    names = shlex.join([*texts, *sorted({folder.rpartition("/")[0] for folder in folders})])
    script = (
        "export LC_ALL=C; "
        f"now=$(date +%s); age=$(ps -o etimes= -p {daemon.pid}); echo $((now - age)); "
        f"journalctl -q -o short-unix _PID={daemon.pid} | grep 'Server listening on' | tail -n 1 | cut -d' ' -f1; "
        f'echo {_SEPARATOR}; for f in {names}; do [ -e "$f" ] || f=${{f%/*}}; '
        "stat -c '%.6Z %n' -- \"$f\"; stat -L -c '%.6Z %n' -- \"$f\"; done"
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
    changed = [line.split(" ", 1) for line in files.splitlines()]
    return list(dict.fromkeys(name for when, name in changed if float(when) > _read_at(loaded)))


def _read_at(loaded: Sequence[float]) -> float:
    """Return when the settings were read: the daemon's start, in whole seconds by `ps`, and what the journal says."""
    # What the journal says of an earlier process with the same id is older than the start.
    exact = [when for when in loaded[1:] if when > loaded[0] - 2]
    return exact[0] if exact else loaded[0] + 1
