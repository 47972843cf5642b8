"""Examining what medsec needs: on this machine, and on each host. Reads only."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from medsec.errors import MedsecError
from medsec.inventory import Host
from medsec.judge.ssh import SshTransport
from medsec.judge.transport import Limits
from medsec.text import Text, says

# Free space that a run needs, in MiB: evidence here, package downloads and snapshots on a host.
FREE_HERE = 500
FREE_ON_HOST = 300
# Audit records of two hosts cannot be put in order beyond this, in seconds.
CLOCK_SKEW = 2.0


class State(StrEnum):
    """How serious a symptom is."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True)
class Symptom:
    """One thing that was examined: where, what was found, and what to do if it is not good."""

    place: str
    state: State
    text: Text


def examine(hosts: Sequence[Host], folder: Path, forks: int = 10) -> Iterator[Symptom]:
    """Yield what was found on this machine, then on each of `hosts`, as answers come in."""
    yield from _here(folder)
    with ThreadPoolExecutor(max_workers=max(1, min(forks, len(hosts) or 1))) as pool:
        for symptoms in pool.map(_on_host, hosts):
            yield from symptoms


def _here(folder: Path) -> Iterator[Symptom]:
    place = "localhost"
    python = ".".join(map(str, sys.version_info[:3]))
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("ansible-core", "pyinfra", "paramiko")
    )
    yield Symptom(place, State.GOOD, says(en=f"Python {python}; {versions}", zh=f"Python {python}；{versions}"))
    if shutil.which("ssh"):
        yield Symptom(place, State.GOOD, says(en="ssh client found", zh="已安装 ssh 客户端"))
    else:
        text = says(
            en="no ssh client, which Ansible needs: apt install openssh-client",
            zh="缺少 Ansible 所需的 ssh 客户端：apt install openssh-client",
        )
        yield Symptom(place, State.BAD, text)
    yield _fonts(place)
    yield _room(place, shutil.disk_usage(folder).free // 2**20, FREE_HERE, str(folder.resolve()))


def _fonts(place: str) -> Symptom:
    if not shutil.which("fc-list"):
        text = says(
            en="fontconfig is missing, so Chinese fonts cannot be looked for: apt install fontconfig fonts-wqy-microhei",
            zh="缺少 fontconfig，无法检查中文字体：apt install fontconfig fonts-wqy-microhei",
        )
        return Symptom(place, State.WARNING, text)
    found = subprocess.run(
        ["fc-list", ":lang=zh", "family"], capture_output=True, text=True, check=False
    ).stdout.strip()
    if found:
        family = found.splitlines()[0].split(",")[0]
        return Symptom(place, State.GOOD, says(en=f"Chinese font: {family}", zh=f"中文字体：{family}"))
    text = says(
        en="no Chinese font; printed reports would show boxes: apt install fonts-wqy-microhei",
        zh="没有中文字体，打印的报告会显示为方框：apt install fonts-wqy-microhei",
    )
    return Symptom(place, State.WARNING, text)


def _room(place: str, free: int, needed: int, path: str) -> Symptom:
    if free >= needed:
        return Symptom(place, State.GOOD, says(en=f"{free} MiB free at {path}", zh=f"{path} 剩余 {free} MiB"))
    text = says(
        en=f"only {free} MiB free at {path}, {needed} needed; make room first",
        zh=f"{path} 仅剩 {free} MiB，至少需要 {needed} MiB；请先清理磁盘",
    )
    return Symptom(place, State.BAD, text)


# One round trip: clock, Python, free space, system.
_LOOK = (
    "date +%s.%N; command -v python3 || echo -; df -Pk / | tail -n 1 | tr -s ' ' | cut -d' ' -f4; "
    '. /etc/os-release; printf "%s\\n" "$PRETTY_NAME"'
)


def _on_host(host: Host) -> list[Symptom]:
    try:
        connected = SshTransport(Limits(connect=10, command=20)).connect(host)
        before = time.time()
        answer = connected.run(_LOOK)
        after = time.time()
    except MedsecError as error:
        message = error.args[0]
        return [
            Symptom(host.name, State.BAD, message if isinstance(message, Text) else says(en=message, zh=message))
        ]
    lines = answer.stdout.splitlines()
    if answer.rc != 0 or len(lines) < 4:
        text = says(en=f"answers oddly: {answer.stderr.strip()!r}", zh=f"返回内容异常：{answer.stderr.strip()!r}")
        return [Symptom(host.name, State.BAD, text)]
    login = says(
        en=f"{lines[3]}: {host.login.user} logs in and may use sudo",
        zh=f"{lines[3]}：{host.login.user} 可登录并可使用 sudo",
    )
    return [
        Symptom(host.name, State.GOOD, login),
        _clock(host.name, float(lines[0]), before, after),
        _python(host.name, lines[1]),
        _room(host.name, int(lines[2]) // 1024, FREE_ON_HOST, "/"),
    ]


def _clock(place: str, there: float, before: float, after: float) -> Symptom:
    """Compare clocks; the host's reading lies somewhere between `before` and `after` of ours."""
    skew = max(before - there, there - after, 0.0)
    if skew <= CLOCK_SKEW:
        return Symptom(
            place,
            State.GOOD,
            says(en=f"clock within {CLOCK_SKEW:.0f} s of ours", zh=f"时钟偏差不超过 {CLOCK_SKEW:.0f} 秒"),
        )
    text = says(
        en=f"clock is {skew:.0f} s off ours; its records cannot be put in order. Set its time source first",
        zh=f"时钟与本机相差 {skew:.0f} 秒，审计记录时间不可信；请先校时",
    )
    return Symptom(place, State.BAD, text)


def _python(place: str, path: str) -> Symptom:
    if path != "-":
        return Symptom(place, State.GOOD, says(en=f"Python at {path}", zh=f"Python 位于 {path}"))
    text = says(
        en="no Python: verify and --engine pyinfra work, --engine ansible does not",
        zh="没有 Python：可使用 verify 和 --engine pyinfra，不能使用 --engine ansible",
    )
    return Symptom(place, State.WARNING, text)
