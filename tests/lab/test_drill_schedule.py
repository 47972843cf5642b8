"""The timer of restore drills under a real systemd: what it starts, from where, and when next."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Callable
from pathlib import Path

from medsec.drills.timer import units
from medsec.lab import LabHost

DAY = 86400


def test_the_timer_drills_each_month_from_the_sites_folder(
    fresh_host: Callable[..., LabHost], tmp_path: Path
) -> None:
    host = fresh_host()
    site = tmp_path / "示范 诊所 100% $HOME"
    site.mkdir()
    # Stands for medsec, which no lab host has: it tells where it was started and with which words.
    program = Path("/usr/local/bin/told here")
    script = "#!/bin/sh\npwd\nprintf '<%s>\\n' \"$@\"\n"
    put(host, str(program), script)
    host.run_as_root(
        f"chmod 755 {shlex.quote(str(program))}; mkdir -p {shlex.quote(str(site))}"
    ).check_returncode()
    made = units(site, site / "inventory", program, "monthly")
    for name, text in made.items():
        put(host, f"/etc/systemd/system/{name}", text)
    service, timer = sorted(made)
    done = host.run_as_root(
        f"systemctl daemon-reload && systemctl start {service} && systemctl enable --now {timer}"
    )
    assert done.returncode == 0, done.stderr
    # Only what the program wrote: what the system manager tells of the unit comes by another way, and may fall in between.
    said = host.run_as_root(f"journalctl --sync; journalctl -q -o cat -u {service} _TRANSPORT=stdout").stdout
    assert said == f"{site}\n<drill>\n<restore>\n<--inventory>\n<{site}/inventory>\n"
    left = host.run_as_root(
        f'echo $(($(date -d "$(systemctl show -P NextElapseUSecRealtime {timer})" +%s) - $(date +%s)))'
    )
    assert 0 < int(left.stdout) <= 31 * DAY + 7200, left.stdout


def put(host: LabHost, path: str, text: str) -> None:
    encoded = base64.b64encode(text.encode()).decode("ascii")
    host.run_as_root(f"echo {encoded} | base64 -d > {shlex.quote(path)}").check_returncode()
