"""Asks as the account of the copies would: what it is given, what it is refused, and who may come in as it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes import sshd
from medsec.probes.backup_copies import ACCOUNT, Account, account, keys
from medsec.text import Text, says

KNOWN = ("postgresql", "mariadb")
# What sshd may be asked of who comes in as the account, and with what.
SETTINGS = "pubkeyauth|forcecommand|authorizedkeys|trustedusercakeys|allow|deny"


def check(host: Host, params: Params) -> None:
    assert params.copied_to, says(
        en="the ledger registers no keeper (copied_to)", zh="台账未登记副本主机（copied_to）"
    )
    found = account(host, params.program)
    assert found is not None, says(
        en=f"there is no account {ACCOUNT}: no backup is offered for copying",
        zh=f"没有账户 {ACCOUNT}，备份未提供拉取",
    )
    problems = [*_of_account(found, params), *_of_ways_in(host, found, params)]
    assert not problems, says(en="; ".join(p.en for p in problems), zh="；".join(p.zh for p in problems))


def _of_account(found: Account, params: Params) -> Iterator[Text]:
    if not found.locked:
        yield says(en=f"{ACCOUNT} has a password", zh=f"账户 {ACCOUNT} 设有口令")
    if found.uid == 0 or found.groups != (ACCOUNT,):
        groups = ", ".join(found.groups)
        yield says(
            en=f"{ACCOUNT} has uid {found.uid} and the groups {groups}",
            zh=f"账户 {ACCOUNT} 的 uid 为 {found.uid}，所属组为 {groups}",
        )
    rules = [re.sub(r"^\(root(?: : root)?\) ", "", rule) for rule in found.sudo]
    if rules != [f"NOPASSWD: {params.program}"]:
        said = ", ".join(found.sudo) or "-"
        yield says(
            en=f"sudo is to let {ACCOUNT} run {params.program} alone, and lets it run: {said}",
            zh=f"sudo 应仅允许 {ACCOUNT} 执行 {params.program}，实际为：{said}",
        )
    if found.loose:
        paths = ", ".join(found.loose)
        yield says(en=f"others than root may write {paths}", zh=f"root 以外的账户可写：{paths}")
    if found.leak is not None:
        yield says(
            en=f"{ACCOUNT} gets an answer to what must be refused: {found.leak[:80]}",
            zh=f"本应拒绝的请求得到了回应：{found.leak[:80]}",
        )
    missing = [product for product in params.products if product in KNOWN and product not in found.offered]
    if missing or not found.offered:
        names = ", ".join(missing) or "-"
        yield says(en=f"no sealed backup is offered of: {names}", zh=f"未提供已封存的备份：{names}")


def _of_ways_in(host: Host, found: Account, params: Params) -> Iterator[Text]:
    """For each daemon and keeper: whether it comes in by its own key, and nobody else does."""
    unknown = [keeper["host"] for keeper in params.copied_to if not keeper.get("key")]
    if unknown:
        names = ", ".join(unknown)
        yield says(
            en=f"the ledger does not hold the key of {names}: `medsec backup key --host {names}` prints it",
            zh=f"台账缺少 {names} 的公钥，可用 `medsec backup key --host {names}` 取得",
        )
    known = [keeper for keeper in params.copied_to if keeper.get("key")]
    cases = [
        {"user": ACCOUNT, "host": keeper["host"], "addr": keeper["address"], "laddr": "192.0.2.2", "lport": "22"}
        for keeper in known
    ]
    for daemon in sshd.daemons(host) if cases else ():
        for case, settings in zip(cases, sshd.effective(host, daemon, cases, SETTINGS), strict=True):
            yield from _of_daemon(host, found, params.program, known, sshd.specification(case), settings)


def _of_daemon(
    host: Host,
    found: Account,
    program: str,
    known: list[dict[str, str]],
    case: str,
    settings: dict[str, list[str]],
) -> Iterator[Text]:
    off = {
        "pubkeyauthentication": "yes",
        "forcecommand": "none",
        "authorizedkeyscommand": "none",
        "trustedusercakeys": "none",
    }
    for name, wanted in off.items():
        got = settings.get(name, ["none"])[0]
        if got != wanted:
            yield says(en=f"sshd: {name} is {got} for {case}", zh=f"sshd：{case} 的 {name} 为 {got}")
    for name in ("allowusers", "allowgroups"):
        if name in settings and ACCOUNT not in settings[name]:
            yield says(en=f"sshd: {name} leaves {ACCOUNT} out", zh=f"sshd：{name} 未包含 {ACCOUNT}")
    for name in ("denyusers", "denygroups"):
        if ACCOUNT in settings.get(name, ()):
            yield says(en=f"sshd: {name} names {ACCOUNT}", zh=f"sshd：{name} 包含 {ACCOUNT}")
    lines = keys(host, " ".join(settings.get("authorizedkeysfile", [])).split(), found.home)
    registered = {
        f'restrict,from="{keeper["address"]}",command="{program}" {keeper["key"]}': keeper for keeper in known
    }
    for line, keeper in registered.items():
        if line not in lines:
            yield says(
                en=f"the key of {keeper['host']} does not open {ACCOUNT}, or not as it must (restrict, from, command)",
                zh=f"{keeper['host']} 的公钥未登记于 {ACCOUNT}，或缺少限制（restrict、from、command）",
            )
    count = sum(line not in registered for line in lines)
    if count:
        yield says(
            en=f"{count} keys open {ACCOUNT} that the ledger does not register, or without its restrictions",
            zh=f"账户 {ACCOUNT} 有 {count} 个公钥未在台账登记，或未加限制",
        )
