"""Who listens on a host: every TCP and UDP socket that others can send to, and the program and unit behind it."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import says

# Sockets of this host and of each network namespace of its own that has more than loopback (a container's, say); the
# programs and units of the processes that hold them; what systemd itself listens on and what it starts for it.
_QUESTION = r"""
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
for tool in awk find grep ip nsenter sed ss systemctl; do command -v $tool > /dev/null || { echo "$tool is missing" >&2; exit 3; }; done
echo '== sockets'
sockets="ss -H -lntup$([ ! -e /proc/net/sctp ] || echo S) || exit 1
cat /proc/net/udplite* 2> /dev/null | awk '/:/ { print \"udplite \" \$2 }'"
here=$(sh -c "$sockets") || exit 1
printf '%s' "$here" | sed 's/^/here /'
echo
own=$(readlink /proc/self/ns/net)
for process in /proc/[0-9]*; do
  space=$(readlink "$process/ns/net") || continue
  if [ "$space" != "$own" ]; then echo "$space ${process#/proc/}"; fi
done 2> /dev/null | sort -u -k1,1 | while read -r space number; do
  if nsenter -t "$number" -n ip -o link show up 2> /dev/null | grep -qv ': lo:'; then
    nsenter -t "$number" -n sh -c "$sockets" | sed "s/^/$space /"
  fi
done
echo '== processes'
{
  ls -l /proc/[0-9]*/exe 2> /dev/null | sed -n 's,^.* /proc/\([0-9]*\)/exe -> \(.*\)$,E\t\1\t\2,p'
  grep -H '' /proc/[0-9]*/cgroup 2> /dev/null | sed -n 's,^/proc/\([0-9]*\)/cgroup:[0-9]*:\(name=systemd\)\{0\,1\}:\(.*\)$,U\t\1\t\3,p'
} | awk -F '\t' '
  $1 == "E" { program[$2] = $3 }
  $1 == "U" { count = split($3, parts, "/"); for (i = 1; i <= count; i++) if (parts[i] ~ /\.(service|scope)$/) { unit[$2] = parts[i]; if (parts[i] ~ /^user@/) break } }
  END { for (number in program) print number "\t" unit[number] "\t" program[number] }'
echo '== systemd'
# What boot starts, by the links that say so: systemd's own list would look up every unit there is.
boot=$(find /etc/systemd/system /run/systemd/system /run/systemd/generator* /usr/local/lib/systemd/system /usr/lib/systemd/system \
  /lib/systemd/system -mindepth 2 -maxdepth 2 \( -path '*.wants/*' -o -path '*.requires/*' \) -printf '%f\n' 2> /dev/null | sort -u)
sockets=$({ systemctl list-units --type=socket --state=active --plain --no-legend | awk '{ print $1 }'
  printf '%s\n' "$boot" | grep '[.]socket$'; } | sort -u)
blocks=$(systemctl show --property=Id --property=Accept --property=Triggers --property=Listen --property=ActiveState -- $sockets)
printf '%s\n' "$blocks"
echo '== started'
started=$(printf '%s\n' "$blocks" | awk -v RS= -F '\n' '/Listen=[^\n]*[0-9] \((Stream|Datagram)\)/ {
  for (i = 1; i <= NF; i++) { name = $i; sub(/=.*/, "", name); value[name] = substr($i, length(name) + 2) }
  if (value["Accept"] == "yes") { sub(/\.socket$/, "@0.service", value["Id"]); print value["Id"] } else print value["Triggers"] }')
if [ -n "$started" ]; then systemctl show --property=Id --property=ExecStart -- $started; fi
echo '== enabled'
systemctl show --property=Id --property=ExecStart -- $(printf '%s\n' "$boot" | grep '[.]service$') | awk '
  /^Id=/ { unit = substr($0, 4) }
  /^ExecStart=/ { sub(/^.* argv\[\]=/, ""); sub(/ ; ignore_errors=.*/, ""); lines[++n] = $0 }
  /^$/ { for (; n; n--) print unit "\t" lines[n] }
  END { for (; n; n--) print unit "\t" lines[n] }'
grep -d skip -Hs '^[^#]*@reboot' /etc/crontab /etc/cron.d/* /var/spool/cron/crontabs/* /var/spool/cron/* | sed 's/:/\t/'
if [ -x /etc/rc.local ]; then grep -H '^[^#]*/' /etc/rc.local | sed 's/:/\t/'; fi
echo '== ephemeral'
cat /proc/sys/net/ipv4/ip_local_port_range
echo '== end'
"""
_SOCKET = re.compile(
    r"(?P<space>\S+) (?P<protocol>tcp|udp|sctp)\s+\S+\s+\d+\s+\d+\s+(?P<local>\S+)\s+\S+\s*(?P<users>.*)"
)
_DATA = ("/etc/", "/var/", "/run/")  # a setting's folder may be called like the program
# Where every user can put a program, so that its bare name says nothing.
_ANYBODYS = ("/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/", "/home/")


@dataclass(frozen=True)
class Holder:
    """One process that holds a socket. `program` is what systemd would start where systemd itself holds it."""

    pid: int
    program: str
    unit: str


@dataclass(frozen=True)
class Listener:
    """One listening socket."""

    protocol: str
    address: str
    port: int
    # Bound to loopback: nobody but this host reaches it.
    local: bool
    # The network namespace, or empty for the host's own.
    space: str
    holders: tuple[Holder, ...]

    @property
    def place(self) -> str:
        return f"{self.protocol} {self.address}:{self.port}" + (f" in {self.space}" if self.space else "")


@dataclass(frozen=True)
class Listeners:
    """Everything that listens, the running programs, and the ports that clients are given."""

    sockets: tuple[Listener, ...]
    running: tuple[Holder, ...]
    ephemeral: range
    # Sockets of systemd that are enabled and not active: the next boot opens them.
    at_boot: tuple[Listener, ...] = ()
    # What boot starts: a unit, a table or a script, and a program file that it names.
    starts: tuple[tuple[str, str], ...] = ()


def listeners(host: Host) -> Listeners:
    """Return what listens on `host`, read as root with one command. Raises ProbeError when it cannot be read."""
    done = host.run(re.sub(r"(?m)^#.*\n", "", _QUESTION))
    if done.rc != 0 or "== end" not in done.stdout:
        raise ProbeError(
            says(
                en=f"the listening sockets could not be read (exit code {done.rc}): {done.stderr.strip()[-300:]}",
                zh=f"无法读取监听端口（退出码 {done.rc}）：{done.stderr.strip()[-300:]}",
            )
        )
    return parse(done.stdout)


def parse(answer: str) -> Listeners:
    """Return what the answer to the question says. Raises ProbeError when it does not parse."""
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in answer.splitlines():
        if line.startswith("== "):
            lines = sections.setdefault(line.removeprefix("== "), [])
        else:  # an empty line stands between units
            lines.append(line)
    try:
        running = {holder.pid: holder for holder in map(_holder, filter(None, sections["processes"]))}
        held = list(_activated(sections["systemd"], sections["started"]))
        activated = {(socket.protocol, socket.port): socket.holders[0] for socket, active in held if active}
        low, high = map(int, sections["ephemeral"][0].split())
        sockets = tuple(_listener(line, running, activated) for line in sections["sockets"] if line)
    except (KeyError, ValueError, IndexError, AttributeError) as error:
        raise ProbeError(
            says(
                en=f"the list of listening sockets does not parse ({error!r}): {answer[:200]!r}",
                zh=f"监听端口列表无法解析（{error!r}）：{answer[:200]!r}",
            )
        ) from error
    return Listeners(
        sockets,
        tuple(running.values()),
        range(low, high + 1),
        tuple(socket for socket, active in held if not active),
        tuple(_starts(sections["enabled"])),
    )


def _starts(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in filter(None, lines):
        starter, _, command = line.partition("\t")
        for word in dict.fromkeys(re.split(r"[\s'\";&|()]+", command)):
            if word.startswith("/") and not word.startswith(_DATA):
                yield starter, word


def _holder(line: str) -> Holder:
    number, unit, program = line.split("\t")
    return Holder(int(number), program.removesuffix(" (deleted)"), unit)


def _activated(sockets: Iterable[str], started: Iterable[str]) -> Iterator[tuple[Listener, bool]]:
    """Yield the network sockets that systemd holds for a program, that program as their holder, and whether it does now."""
    programs = {}
    for block in _blocks(started):
        found = re.match(r"\{ path=(\S+) ;", block.get("ExecStart", [""])[0])
        programs[block["Id"][0]] = found.group(1) if found else ""
    for block in _blocks(sockets):
        (socket,) = block["Id"]
        if block["Accept"] == ["yes"]:
            units = [f"{socket.removesuffix('.socket')}@0.service"]
        else:
            units = block["Triggers"][0].split()
        for listen in block.get("Listen", []):
            found = re.fullmatch(r"(?:(.*):)?(\d+) \((Stream|Datagram)\)", listen)
            if found and not listen.startswith("vsock:"):
                protocol = "tcp" if found[3] == "Stream" else "udp"
                program = next((programs[unit] for unit in units if unit in programs), "")
                holder = Holder(1, program or socket, socket)
                address = (found[1] or "*").strip("[]")
                active = block.get("ActiveState", ["active"]) == ["active"]
                yield Listener(protocol, address, int(found[2]), _is_loopback(address), "", (holder,)), active


def _blocks(lines: Iterable[str]) -> Iterator[dict[str, list[str]]]:
    """Yield what `systemctl show` says of each unit: the values of each property, of which some come several times."""
    for text in "\n".join(lines).strip().split("\n\n"):
        block: dict[str, list[str]] = {}
        for line in text.splitlines():
            name, _, value = line.partition("=")
            block.setdefault(name, []).append(value)
        if block:
            yield block


def _listener(line: str, running: Mapping[int, Holder], activated: Mapping[tuple[str, int], Holder]) -> Listener:
    found = _SOCKET.fullmatch(line)
    if found is None:
        return _lite(line)
    host, _, port = found["local"].rpartition(":")
    host = host.strip("[]").replace("]%", "%")
    address, _, device = host.partition("%")
    protocol = found["protocol"]
    holders: list[Holder] = []
    for name, number in re.findall(r'\("([^"]*)",pid=(\d+)', found["users"]):
        pid = int(number)
        if pid == 1 and (protocol, int(port)) in activated:
            holders.append(activated[protocol, int(port)])
        else:
            holders.append(running.get(pid, Holder(pid, name, "")))
    return Listener(
        protocol=protocol,
        address=host,
        port=int(port),
        local=device == "lo" or _is_loopback(address),
        space="" if found["space"] == "here" else found["space"],
        holders=tuple(dict.fromkeys(holders)),
    )


def _lite(line: str) -> Listener:
    """Return a socket of UDP-Lite, which ss does not know; the kernel writes its address in words of the machine's order."""
    space, _, local = line.split(" ")
    digits, _, port = local.partition(":")
    words = [bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8)]
    address = str(ipaddress.ip_address(b"".join(words)))
    return Listener("udplite", address, int(port, 16), _is_loopback(address), "" if space == "here" else space, ())


def _is_loopback(address: str) -> bool:
    if address == "*":
        return False
    parsed = ipaddress.ip_address(address)
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback


def is_client(listener: Listener, found: Listeners, client_programs: Iterable[str]) -> bool:
    """Return whether the socket is a client's, waiting for answers on the ephemeral UDP port that it was given."""
    names = set(client_programs)
    return (
        listener.protocol == "udp"
        and listener.port in found.ephemeral
        and bool(listener.holders)
        and all(any(_is(holder, name) for name in names) for holder in listener.holders)
    )


def problem(listener: Listener, listens: Iterable[Mapping[str, Any]]) -> tuple[str, str] | None:
    """Return in what `listener` departs from the registered `listens` (English, Chinese), or None.

    + listens: entries of the ledger with `protocol`, `port`, `process` and `sources`
    """
    who_en = " and ".join(_shown(holder) for holder in listener.holders) or "the kernel or a hidden process"
    who_zh = "、".join(_shown(holder) for holder in listener.holders) or "内核或隐藏进程"
    entries = [e for e in listens if (e["protocol"], e["port"]) == (listener.protocol, listener.port)]
    if not entries or listener.space:
        return (
            f"{who_en} listens on {listener.place}, which the ledger does not register",
            f"{who_zh} 监听 {listener.place}，台账未登记",
        )
    strangers = [h for h in listener.holders if not any(_is(h, entry["process"]) for entry in entries)]
    if strangers or not listener.holders:
        wanted = ", ".join(sorted({entry["process"] for entry in entries}))
        return (
            f"{who_en} listens on {listener.place}, which the ledger registers for {wanted}",
            f"{who_zh} 监听 {listener.place}，而台账登记的程序为 {wanted}",
        )
    if not listener.local and all(entry["sources"] == ["local"] for entry in entries):
        return (
            f"{who_en} listens on {listener.place}, which the ledger registers for loopback only",
            f"{who_zh} 监听 {listener.place}，而台账登记为仅限本机回环地址",
        )
    return None


def _shown(holder: Holder) -> str:
    unit = f", {holder.unit}" if holder.unit else ""
    return f"{holder.program} (pid {holder.pid}{unit})"


def _is(holder: Holder, process: str) -> bool:
    if process.startswith("/"):
        return holder.program == process
    if process.endswith(".service"):
        return holder.unit == process
    return posixpath.basename(holder.program) == process and not holder.program.startswith(_ANYBODYS)
