"""The time source of a lab: this machine answers NTP on its own address in each zone, and nowhere else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from medsec.lab.cgroups import Group
from medsec.lab.definition import CONSOLE_NUMBER
from medsec.lab.network import Network

# Its name lets the reaper take it for what it is: something that a living lab keeps.
_PROGRAM = Path(__file__).resolve().parent / "launch_clock.py"


def up(lab: str, network: Network, log: Path) -> None:
    """Start the time source of `lab` unless it runs; it goes with the lab's control groups.

    What it complains of (a time server of this machine that holds the port, say) stands in `log`.
    """
    group = Group(lab, "console")
    if group.populated():
        return
    group.make()
    addresses = [
        address(zone, CONSOLE_NUMBER)
        for zone in network.definition.zones
        for address in (network.ipv4, network.ipv6)
    ]
    enter = " && ".join(f"echo $$ > {folder}/cgroup.procs" for folder in group.folders)
    with log.open("wb") as said:
        # --fork: nobody waits for it, so that it is not the child of the process that asked for the lab.
        subprocess.run(
            ["setsid", "--fork", "sh", "-c", f'{enter} && exec "$@"', "sh", sys.executable, _PROGRAM, *addresses],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            check=True,
        )
