"""The public keys by which the two ends of a copy know each other, as the ledger is to hold them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medsec.catalogue.controls import Controls
from medsec.errors import ProbeError, UsageError
from medsec.inventory import Host, Inventory, effective
from medsec.inventory.ledger import CopySource
from medsec.judge.ssh import SshTransport
from medsec.judge.transport import Limits
from medsec.text import says

KEEPING = "backups_copied_off_server"


@dataclass(frozen=True)
class CopyKeys:
    """A host that keeps copies, one of its sources, and the public key of each; the source's is None where it is another site's."""

    keeper: Host
    source: CopySource
    keeper_key: str
    source_key: str | None


def keepers(hosts: Sequence[Host]) -> list[Host]:
    """Return those of `hosts` that keep copies by the ledger. Raises UsageError where that is none."""
    found = [host for host in hosts if host.ledger.copies_of]
    if not found:
        names = ", ".join(host.name for host in hosts[:10])
        raise UsageError(
            says(
                en=f"the ledger registers no copies (`copies_of`) on {names}; see docs/backups.md",
                zh=f"台账未在 {names} 登记备份副本（copies_of）；参见 docs/backups.zh-CN.md",
            )
        )
    return found


def copy_keys(inventory: Inventory, controls: Controls, keeper: Host) -> Iterator[CopyKeys]:
    """Yield the keys of `keeper` and of each of its sources, read over SSH with the operator's own known hosts.

    Raises ProbeError where `keeper` has no key yet or a host tells none, HostUnreachable where one does not answer.
    """
    settings = effective(controls[KEEPING], keeper, inventory.ledger).settings
    own = _read(keeper, f"{settings}/id_ed25519.pub")
    for source in keeper.ledger.copies_of:
        host = inventory.hosts.get(source.host)
        yield CopyKeys(
            keeper, source, own, _read(host, "/etc/ssh/ssh_host_ed25519_key.pub") if host else source.key
        )


def _read(host: Host, path: str) -> str:
    connection = SshTransport(Limits(connect=10, command=60)).connect(host)
    try:
        answer = connection.run(f"head -c 2000 -- {shlex.quote(path)}")
    finally:
        connection.close()
    found = re.match(r"(ssh-ed25519 [A-Za-z0-9+/]+=*)(\s|$)", answer.stdout)
    if answer.rc != 0 or found is None:
        said = answer.stderr.strip()[-200:] or "-"
        raise ProbeError(
            says(
                en=f"host {host.name}: no public key in {path} ({said}); `medsec apply --control {KEEPING}` makes the keeper's",
                zh=f"主机 {host.name}：{path} 中没有公钥（{said}）；副本主机的密钥由 `medsec apply --control {KEEPING}` 生成",
            )
        )
    return found.group(1)
