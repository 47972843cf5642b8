"""Asks the file system who may read and write the critical files, and whether trust files lie about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes.file_access import Access, accesses, folders_above, homes, readers_by_group
from medsec.text import Text, says

WRITABLE_BY_OTHERS = 0o022
STICKY = 0o1000


def check(host: Host, params: Params) -> None:
    trust = [*params.trust_paths, *_trust_files(host, params)]
    patterns = [entry["path"] for entry in params.table]
    found = accesses(host, [*patterns, *folders_above(patterns), *trust])
    problems = [
        *(problem for entry in params.table for problem in _of_entry(entry, found[entry["path"]])),
        *(_of_folder(folder) for path in folders_above(patterns) for folder in found[path] if _open(folder)),
        *(_of_trust(file) for path in trust for file in found[path]),
        *_of_groups(host, params),
    ]
    assert not problems, says(en="; ".join(p.en for p in problems), zh="；".join(p.zh for p in problems))


def _of_entry(entry: dict[str, Any], files: list[Access]) -> Iterator[Text]:
    widest = int(entry["mode"], 8)
    if entry.get("required") and not files:
        yield says(en=f"{entry['path']} is missing", zh=f"{entry['path']} 不存在")
    for file in files:
        path = file.path
        if file.kind == "symbolic link":
            yield says(en=f"{path} is a symbolic link", zh=f"{path} 是符号链接")
        elif file.kind == "directory":
            continue
        if file.kind != "symbolic link" and file.mode & ~widest:
            yield says(
                en=f"{path} has mode {file.mode:04o}, at most {widest:04o} is accepted",
                zh=f"{path} 权限为 {file.mode:04o}，最宽应为 {widest:04o}",
            )
        if file.uid != 0:
            yield says(en=f"{path} belongs to {file.user}", zh=f"{path} 属主为 {file.user}，应为 root")
        if file.group not in entry["groups"]:
            accepted = "/".join(entry["groups"])
            yield says(
                en=f"{path} has group {file.group}, accepted: {accepted}",
                zh=f"{path} 属组为 {file.group}，应为 {accepted}",
            )
        if file.access_list:
            yield says(en=f"{path} has an access list beyond its mode", zh=f"{path} 设有额外的访问控制列表（ACL）")


def _open(folder: Access) -> bool:
    """Whether somebody other than root could put another file in place of one below this folder."""
    loose = folder.mode & WRITABLE_BY_OTHERS and not folder.mode & STICKY
    return bool(loose) or folder.uid != 0 or folder.access_list


def _of_folder(folder: Access) -> Text:
    return says(
        en=f"the folder {folder.path} can be changed by others: {folder.user} {folder.mode:04o}"
        + (" with an access list" if folder.access_list else ""),
        zh=f"目录 {folder.path} 可被他人改写：{folder.user} {folder.mode:04o}"
        + ("，且设有 ACL" if folder.access_list else ""),
    )


def _trust_files(host: Host, params: Params) -> list[str]:
    # Not every directory of accounts lists its accounts, and a home outlives its account.
    known = {home.rstrip("/") for home in homes(host).values() if home.startswith("/")}
    folders = {"", "/home/*", *(home for home in known if not re.fullmatch(r"/home/[^/.][^/]*", home))}
    return [f"{folder}/{name}" for folder in sorted(folders) for name in params.trust_files]


def _of_trust(file: Access) -> Text:
    return says(en=f"the trust file {file.path} exists", zh=f"存在信任关系文件 {file.path}")


def _of_groups(host: Host, params: Params) -> Iterator[Text]:
    """What a group may read, its members may read."""
    for group in sorted({name for entry in params.table for name in entry["groups"]} - {"root"}):
        members = readers_by_group(host, group)
        if members:
            names = ", ".join(members)
            yield says(
                en=f"the group {group}, which may read critical files, has members: {names}",
                zh=f"可读取关键文件的用户组 {group} 中有成员：{names}",
            )
