"""The few commands that a host is given: look, cut, undo. POSIX sh; nothing of medsec and no Python is needed there."""

from __future__ import annotations

import base64
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from medsec.errors import ProbeError
from medsec.evidence.plain import plain
from medsec.isolation.rules import BEFORE, HOME, RECORD, RULES, SERVICE, TABLE, TIMER, UNITS, service, timer
from medsec.judge.recording import ConnectedHost
from medsec.text import says

# How the guard's journal and its folder on the host name what was done.
CONTROL = "isolation"


@dataclass(frozen=True)
class Record:
    """What an isolated host keeps of its isolation: the run, who, from which machine, when, why."""

    run: str
    operator: str
    controller: str
    since: str
    reason: str

    def text(self) -> str:
        return "".join(
            f"{value}\n" for value in (self.run, self.operator, self.controller, self.since, self.reason)
        )


@dataclass(frozen=True)
class Seen:
    """A host before anything is done to it."""

    # The addresses and ports of the operator's SSH connection as the host has them.
    connections: list[tuple[str, int]]
    record: Record | None
    # Whether the table is there.
    cut: bool
    # Addresses that the host has on loan (DHCP), as `eth0 10.0.0.5/24`.
    leased: list[str]
    flowtables: bool
    # What nft says against the rules; empty where it would take them.
    objection: str
    # All rules in force, without counters.
    ruleset: str


_LOOK = r"""
echo '== connections'; {operator}
echo '== record'; cat {record} 2> /dev/null
echo '== cut'; if nft list table inet {table} > /dev/null 2>&1; then echo yes; fi
echo '== leased'; ip -4 -o addr show scope global dynamic 2> /dev/null | while read -r _ device _ address _; do echo "$device $address"; done
echo '== flowtables'; nft list flowtables 2> /dev/null | grep flowtable
echo '== objection'; echo {rules} | base64 -d | nft -c -f - 2>&1 || echo "exit code $?"
echo '== ruleset'; nft -s list ruleset 2> /dev/null
echo '== end'
"""


def look(connection: ConnectedHost, operator: Path, wanted: str) -> Seen:
    """Return how the host is; `operator` is the script that tells the operator's connections. Raises ProbeError."""
    script = _LOOK.format(
        operator=f"sh -c {shlex.quote(operator.read_text(encoding='utf-8'))}",
        record=RECORD,
        table=TABLE,
        rules=_encoded(wanted),
    )
    # It may be in anybody's hands: nothing that it says reaches a terminal, a path or a shell as it is.
    answer = plain(connection.run(script, once=True).stdout)
    parts = _sections(answer)
    if list(parts)[-1:] != ["end"]:
        raise ProbeError(
            says(
                en=f"the host's answer was cut short: {answer[-200:]!r}",
                zh=f"主机的回答不完整：{answer[-200:]!r}",
            )
        )
    pairs = [line.split() for line in parts["connections"] if len(line.split()) == 2]
    return Seen(
        connections=[(address, int(port)) for address, port in pairs],
        record=_record(parts["record"]),
        cut=parts["cut"] == ["yes"],
        leased=parts["leased"],
        flowtables=bool(parts["flowtables"]),
        objection=" ".join(parts["objection"]),
        ruleset="".join(f"{line}\n" for line in parts["ruleset"]),
    )


def _record(lines: list[str]) -> Record | None:
    if not lines:
        return None
    if len(lines) != 5 or not re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{6}", lines[0]):
        raise ProbeError(
            says(
                en=f"{RECORD} is not what medsec wrote ({lines[0]!r:.80}); look at the host's console",
                zh=f"{RECORD} 不是 medsec 写入的内容（{lines[0]!r:.80}）；请到主机控制台查看",
            )
        )
    return Record(*lines)


def _sections(answer: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in answer.splitlines():
        if line.startswith("== "):
            lines = found.setdefault(line.removeprefix("== "), [])
        else:
            lines.append(line)
    return found


_UNDO = f"""
set -u
systemctl stop {TIMER} {SERVICE} 2> /dev/null
systemctl reset-failed {TIMER} {SERVICE} 2> /dev/null
tables=$(nft list tables) || exit 1
case $tables in *'table inet {TABLE}'*) nft delete table inet {TABLE} ;; esac
"""


def spec() -> str:
    """Return what the guard is told of an isolation: the files and units it makes, and how its table goes again."""
    undo = f"printf 'undo\\t%s\\n' {_encoded(_UNDO)}"
    wants = f"{UNITS}/(sysinit|timers)[.]target[.]wants"
    lines = [
        f"file\t{CONTROL}\t/etc/medsec",
        f"find\t{CONTROL}\t{UNITS}\t1\t{wants}",
        f"unit\t{CONTROL}\t{SERVICE}",
        f"unit\t{CONTROL}\t{TIMER}",
        f"scope\t{CONTROL}\t{_encoded(undo)}",
    ]
    return "".join(f"{line}\n" for line in lines)


_CUT = """
set -eu
umask 077
mkdir -p {home}
put() {{ base64 -d > "$1.new"; chmod "$2" "$1.new"; mv -f "$1.new" "$1"; }}
nft -s list ruleset > {before}
echo {rules} | put {rules_file} 600
echo {record} | put {record_file} 600
echo {service} | put {units}/{service_name} 644
echo {timer} | put {units}/{timer_name} 644
sync -f {home}
systemctl daemon-reload
systemctl --quiet enable {service_name} {timer_name}
systemctl start {service_name}
systemctl start {timer_name}
nft list table inet {table} > /dev/null
"""


def cut(connection: ConnectedHost, wanted: str, record: Record) -> None:
    """Cut the host off and keep it so. The guard must hold the host. Raises ProbeError with what went wrong."""
    script = _CUT.format(
        home=HOME,
        before=BEFORE,
        rules=_encoded(wanted),
        rules_file=RULES,
        record=_encoded(record.text()),
        record_file=RECORD,
        service=_encoded(service()),
        timer=_encoded(timer()),
        units=UNITS,
        service_name=SERVICE,
        timer_name=TIMER,
        table=TABLE,
    )
    done = connection.run(script, once=True)
    if done.rc != 0:
        said = plain((done.stderr or done.stdout).strip())[-500:] or f"exit code {done.rc}"
        raise ProbeError(says(en=f"the rules could not be put in force: {said}", zh=f"隔离规则未能生效：{said}"))


def kept_ruleset(connection: ConnectedHost) -> str | None:
    """Return the rules that were in force before the host was cut off, as it kept them; None where they are gone."""
    done = connection.run(f"cat {BEFORE}", once=True)
    return plain(done.stdout) if done.rc == 0 else None


def ruleset(connection: ConnectedHost) -> str:
    """Return the rules in force, without counters. Raises ProbeError where nft does not tell."""
    done = connection.run("nft -s list ruleset", once=True)
    if done.rc != 0:
        raise ProbeError(
            says(
                en=f"the rules in force cannot be read: {done.stderr.strip()}",
                zh=f"无法读取当前防火墙规则：{done.stderr.strip()}",
            )
        )
    return plain(done.stdout)


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
