"""A timer of systemd on the controller that makes the restore drills: what nobody is reminded of is not done."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

from medsec.errors import UsageError
from medsec.text import says

_SERVICE = """\
[Unit]
Description=Restore drills of {name}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
User={user}
WorkingDirectory={site}
ExecStart={program} drill restore --inventory {inventory}
# Where sudo asks for a password: LoadCredentialEncrypted=NAME here, credential:NAME in the inventory (docs/secrets.md).
"""
_TIMER = """\
[Unit]
Description=Restore drills of {name}

[Timer]
OnCalendar={calendar}
# Not all sites of an institution at the same minute; what was missed while the machine was off is made up for.
RandomizedDelaySec=2h
FixedRandomDelay=true
Persistent=true

[Install]
WantedBy=timers.target
"""


def units(site: Path, inventory: Path, program: Path, calendar: str) -> dict[str, str]:
    """Return the names and contents of the service and the timer that drill every database server of a site.

    + site: the folder in which the records are kept; its name becomes part of the units'
    + program: medsec itself
    + calendar: when, as `systemd.time(7)` writes it, `monthly` say

    They run as the account that asks for them, whose SSH keys lead to the hosts. Raises UsageError for a calendar that systemd
    does not read, and where there is no systemd.
    """
    _require_calendar(calendar)
    name = f"medsec-drill-{_name(site.resolve())}"
    service = _SERVICE.format(
        name=_literal(str(site.resolve())),
        user=pwd.getpwuid(os.geteuid()).pw_name,
        site=_literal(str(site.resolve())),
        program=_word(program),
        inventory=_word(inventory.resolve()),
    )
    timer = _TIMER.format(name=_literal(str(site.resolve())), calendar=calendar)
    return {f"{name}.service": service, f"{name}.timer": timer}


def _name(site: Path) -> str:
    """Return what the units of a site are called; systemd takes few letters, and two sites must not share a name."""
    plain = re.sub("[^A-Za-z0-9_-]+", "", site.name)
    return (
        plain
        if plain == site.name
        else f"{plain}-{hashlib.sha256(str(site).encode()).hexdigest()[:8]}".lstrip("-")
    )


def _require_calendar(calendar: str) -> None:
    if shutil.which("systemd-analyze") is None:
        raise UsageError(
            says(
                en="systemd-analyze: not found; this machine has no systemd. Let cron run `medsec drill restore` in the site's folder",
                zh="未找到 systemd-analyze：本机没有 systemd，请用 cron 在清单所在目录定期执行 `medsec drill restore`",
            )
        )
    asked = subprocess.run(["systemd-analyze", "calendar", "--", calendar], capture_output=True, check=False)
    if asked.returncode != 0 or not calendar.isprintable():
        raise UsageError(
            says(
                en=f"--calendar {calendar!r}: systemd does not read it; accepted: monthly, weekly, 'Sun *-*-1..7 02:00' (systemd.time(7))",
                zh=f"--calendar {calendar!r}：systemd 无法识别；可用：monthly、weekly、'Sun *-*-1..7 02:00'（参见 systemd.time(7)）",
            )
        )


def _literal(text: str) -> str:
    """Return what stands for `text` in a unit, where a percent sign begins a specifier and a line its own setting."""
    if not text.isprintable():
        raise UsageError(
            says(
                en=f"{text!r}: has characters that no unit can hold; move the site to another folder",
                zh=f"{text!r}：路径含有单元文件无法表示的字符，请更换目录",
            )
        )
    return text.replace("%", "%%")


def _word(path: Path) -> str:
    """Return one word of a command line in a unit."""
    text = _literal(str(path)).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{text}"'
