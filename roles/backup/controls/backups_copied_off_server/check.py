"""Asks the repository what copies it holds, the disk who could reach them, and systemd when the next is fetched and read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes.backup_copies import Keeper, Snapshot, keeper, seals
from medsec.probes.backups import timer
from medsec.text import Text, says

DAY = 86400
NO_DISK = ("nfs", "nfs4", "cifs", "smb", "smb2", "fuseblk", "fuse", "v9fs", "ceph", "afs", "tmpfs", "ramfs")


def check(host: Host, params: Params) -> None:
    assert params.copies_of, says(
        en="the ledger registers no source (copies_of)", zh="台账未登记副本来源（copies_of）"
    )
    found = keeper(host, params.directory, params.settings)
    problems = [
        *_of_reach(found, params),
        *_of_sources(found, params),
        *_of_copies(host, found, params),
        *_of_reading(found),
        *_of_timers(host, params),
        *_of_escrow(found, params),
    ]
    assert not problems, says(en="; ".join(p.en for p in problems), zh="；".join(p.zh for p in problems))


def _of_reach(found: Keeper, params: Params) -> Iterator[Text]:
    """Root alone reaches the repository and the keys, on a disk of this host."""
    for path, entry in found.entries.items():
        if entry is None:
            yield says(en=f"{path} is missing", zh=f"缺少 {path}")
        elif entry.owner != 0 or entry.mode & 0o077:
            yield says(
                en=f"others than root may reach {path} (owner {entry.owner}, mode {entry.mode:04o})",
                zh=f"root 以外的账户可访问 {path}（属主 {entry.owner}，权限 {entry.mode:04o}）",
            )
    if found.loose:
        paths = ", ".join(found.loose)
        yield says(en=f"others than root may write {paths}", zh=f"root 以外的账户可写：{paths}")
    # Of a folder that is missing no filesystem is told; that it is missing is said above.
    if found.filesystem in NO_DISK:
        yield says(
            en=f"{params.directory} lies on {found.filesystem}, not on a disk of this host",
            zh=f"{params.directory} 位于 {found.filesystem}，不在本机磁盘上",
        )


def _of_sources(found: Keeper, params: Params) -> Iterator[Text]:
    """Each server is known by the ledger's key, and is not this host itself."""
    wanted = {f"{source['host']} {source['key']}" for source in params.copies_of if source.get("key")}
    for source in params.copies_of:
        name, key = source["host"], source.get("key")
        if not key:
            yield says(
                en=f"the ledger does not hold the host key of {name}: `medsec backup key` prints it",
                zh=f"台账缺少 {name} 的主机公钥，可用 `medsec backup key` 取得",
            )
        elif key in found.own:
            yield says(en=f"{name} is this very host: that is no copy", zh=f"{name} 即本机，不构成副本")
    if set(found.known) != wanted:
        yield says(
            en="the servers are not known by the ledger's host keys alone (known_hosts)",
            zh="known_hosts 与台账登记的主机公钥不一致",
        )


def _of_copies(host: Host, found: Keeper, params: Params) -> Iterator[Text]:
    if found.unread is not None:
        yield says(en=f"the repository cannot be read: {found.unread}", zh=f"副本库无法读取：{found.unread}")
        return
    newest: list[Snapshot] = []
    for source in params.copies_of:
        for product in source["systems"]:
            held = [one for one in found.snapshots or () if (one.host, one.product) == (source["host"], product)]
            if not held:
                yield says(
                    en=f"there is no copy of {source['host']} {product}",
                    zh=f"没有 {source['host']} 的 {product} 副本",
                )
            else:
                newest.append(max(held, key=lambda one: one.started))
    held_seals = seals(host, params.directory, params.settings, newest) if newest else {}
    for one in newest:
        hours = (found.now - one.started) / 3600
        if not -1 <= hours <= params.max_age_hours:
            yield says(
                en=f"the newest copy of {one.host} {one.product} is of a backup {hours:.0f} hours old",
                zh=f"{one.host} 的 {one.product} 最近一份副本所含备份距今 {hours:.0f} 小时",
            )
        seal = held_seals[one.id]
        if not seal.digest == one.digest == seal.record.get("sha256sums"):
            yield says(
                en=f"the newest copy of {one.host} {one.product} ({one.set}) is not what the server sealed",
                zh=f"{one.host} 的 {one.product} 最近一份副本（{one.set}）与服务器封存的内容不一致",
            )


def _of_reading(found: Keeper) -> Iterator[Text]:
    """All of the repository was read within nine days, unless it is newer than that."""
    if found.damaged:
        yield says(en="the last reading of all copies found damage", zh="最近一次通读副本发现损坏")
    begun = max(
        (entry.written for path, entry in found.entries.items() if entry and path.endswith("/password")),
        default=0.0,
    )
    if not -3600 <= found.now - max(found.checked, begun) <= 9 * DAY:
        yield says(en="the copies were not read through within nine days", zh="副本已超过 9 天未通读核验")


def _of_timers(host: Host, params: Params) -> Iterator[Text]:
    fetching, reading = params.own_timers or ("medsec-backup-copies.timer", "medsec-backup-copies-check.timer")
    yield from _of_timer(host, fetching, 26)
    yield from _of_timer(host, reading, 8 * 24)


def _of_timer(host: Host, name: str, hours: int) -> Iterator[Text]:
    schedule = timer(host, name)
    if (schedule.load, schedule.active, schedule.enabled) != ("loaded", "active", "enabled"):
        said = f"{schedule.load}, {schedule.active}, {schedule.enabled or '-'}"
        yield says(en=f"the timer {name} does not run: {said}", zh=f"定时器 {name} 未运行：{said}")
        return
    wait = (schedule.next_run - schedule.now) / 3600
    if not 0 <= wait <= hours:
        yield says(
            en=f"the timer {name} is next due in {wait:.0f} hours, {hours} at most",
            zh=f"定时器 {name} 下次执行在 {wait:.0f} 小时后，超过 {hours} 小时",
        )
    if schedule.service_load != "loaded" or schedule.service_result != "success":
        yield says(
            en=f"the last run of {schedule.service or name} failed: {schedule.service_result or schedule.service_load}",
            zh=f"{schedule.service or name} 最近一次执行失败：{schedule.service_result or schedule.service_load}",
        )


def _of_escrow(found: Keeper, params: Params) -> Iterator[Text]:
    """The key also lies elsewhere, since after it was made, and somebody tried it not long ago."""
    if not params.escrow:
        yield says(
            en="the ledger does not say where the key of the copies is in escrow (copies_escrow)",
            zh="台账未登记副本密钥的托管情况（copies_escrow）",
        )
        return
    sealed = max(_day(note) for note in params.escrow)
    today = datetime.fromtimestamp(found.now, UTC).date()
    if not -1 <= (today - sealed).days <= params.escrow_months * 31:
        yield says(
            en=f"the key in escrow was last tried and sealed on {sealed}; every {params.escrow_months} months it must be",
            zh=f"托管密钥上次试用并封存于 {sealed}，应每 {params.escrow_months} 个月一次",
        )
    key = next((entry for path, entry in found.entries.items() if entry and path.endswith("/password")), None)
    if key is not None and datetime.fromtimestamp(key.written, UTC).date() > sealed + timedelta(days=1):
        yield says(
            en=f"the key of the copies is newer than what was put in escrow on {sealed}",
            zh=f"副本密钥晚于 {sealed} 的托管封存，托管的不是现用密钥",
        )


def _day(note: dict[str, Any]) -> date:
    return date.fromisoformat(str(note["sealed"]))
