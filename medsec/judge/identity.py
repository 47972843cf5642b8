"""Who a host says it is, asked once per connection: privilege, operating system, machine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from medsec.errors import ProbeError
from medsec.evidence.plain import plain
from medsec.inventory.hosts import Host
from medsec.inventory.systems import KNOWN, os_family, os_release
from medsec.judge.privilege import no_privilege
from medsec.judge.recording import ConnectedHost
from medsec.packetfilter.host_rules import ISOLATION
from medsec.text import Text, says

_ASK = (
    'echo "uid=$(id -u)"; echo "hostname=$(uname -n)"; echo "kernel=$(uname -r)"; echo "now=$(date +%s)"; '
    'echo "machine=$(cat /etc/machine-id 2>/dev/null)"; '
    # Whether `medsec isolate` has cut the host off: by its record, and by what is in force.
    'echo "isolated=$(sed -n "1p;4p" /etc/medsec/isolation/record 2>/dev/null|paste -sd" ")'
    f'$(nft list table inet {ISOLATION} >/dev/null 2>&1&&echo " cut")"; echo "--"; cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release'
)


@dataclass(frozen=True)
class Identity:
    """What was connected to, so that evidence can be traced to one machine."""

    hostname: str
    # SHA-256 of /etc/machine-id, which itself is confidential (machine-id(5)); empty where the host has none.
    machine: str
    host_key: str | None
    os_id: str
    os_version: str
    os_family: str
    kernel: str
    # Seconds since 1970 by the host's own clock.
    clock: int | None
    # Of an isolated host `RUN SINCE cut`; without `cut` where the record says so and the rules do not, ` cut` where only they do.
    isolated: str = ""


def identify(host: Host, connection: ConnectedHost) -> Identity:
    """Ask the host who it is.

    Raises ProbeError when commands do not run as root there, when it does not tell its operating system, or when that
    is of another family than the ledger says.
    """
    connection.backend.begin()
    result = connection.run(_ASK)
    head, _, tail = result.stdout.partition("\n--\n")
    told = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
    if told.get("uid") != "0":
        met = f"uid {told['uid']}" if "uid" in told else result.stderr or result.stdout
        raise no_privilege(host.name, host.login, met)
    release = {name: plain(value) for name, value in os_release(tail).items()}
    family = os_family(release)
    if family is None:
        raise ProbeError(_unknown_system(host.name, release))
    if family != host.ledger.os_family:
        raise ProbeError(_other_family(host, family, release))
    return Identity(
        hostname=plain(told.get("hostname", "")),
        machine=hashlib.sha256(told["machine"].encode()).hexdigest() if told.get("machine") else "",
        host_key=getattr(connection.backend.inner, "host_key", None),
        os_id=release.get("ID", ""),
        os_version=release.get("VERSION_ID", ""),
        os_family=family,
        kernel=plain(told.get("kernel", "")),
        clock=int(told["now"]) if told.get("now", "").isdigit() else None,
        isolated=plain(told.get("isolated", "")),
    )


def _unknown_system(name: str, release: dict[str, str]) -> Text:
    met = release.get("ID") or "nothing"
    known = ", ".join(KNOWN)
    return says(
        en=f"host {name}: /etc/os-release names {met!r} as ID; known are {known} and their likes (ID_LIKE)",
        zh=f"主机 {name}：/etc/os-release 中 ID 为 {met!r}；目前可识别 {known} 及其衍生版（ID_LIKE）",
    )


def _other_family(host: Host, family: str, release: dict[str, str]) -> Text:
    met = release.get("PRETTY_NAME") or release.get("ID", "")
    return says(
        en=f"host {host.name}: the ledger says os_family {host.ledger.os_family!r}, the host says {family!r} ({met}); "
        "correct the ledger, or find out which machine answers there",
        zh=f"主机 {host.name}：台账登记的 os_family 为 {host.ledger.os_family!r}，主机实际为 {family!r}（{met}）；"
        "请更正台账，或查明该地址上究竟是哪台机器",
    )
