"""Waivers: dated permissions to fail, read from `inventory/waivers.yml`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from medsec.catalogue.controls import Controls
from medsec.catalogue.source import Strict, read_yaml, validate
from medsec.errors import UsageError
from medsec.evidence.findings import Verdict, WaiverNote
from medsec.inventory.hosts import Host, Inventory
from medsec.text import Text, says

FILE = "waivers.yml"


class Waiver(Strict):
    """Permission for one control to fail on some hosts until a day; every field must be given."""

    control: str
    # Host names, group names or globs.
    hosts: list[str] = Field(min_length=1)
    reason: str
    owner: str
    approver: str
    # What protects the hosts meanwhile (补偿措施).
    compensation: list[str] = Field(min_length=1)
    # The last day on which the waiver holds.
    expires: date

    @field_validator("reason", "owner", "approver")
    @classmethod
    def _written(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("must not be empty")
        return value

    @field_validator("compensation")
    @classmethod
    def _each_written(cls, measures: list[str]) -> list[str]:
        if not all(measure.strip() for measure in measures):
            raise ValueError("each measure must be written")
        return measures


class Waivers:
    """The waivers of a site, resolved to hosts."""

    def __init__(self, waivers: Iterable[tuple[Waiver, frozenset[str]]]) -> None:
        self._by_pair: dict[tuple[str, str], Waiver] = {}
        for waiver, hosts in waivers:
            for host in hosts:
                self._by_pair[waiver.control, host] = waiver

    @classmethod
    def none(cls) -> Waivers:
        return cls(())

    def __len__(self) -> int:
        return len(self._by_pair)

    def as_written(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return every waiver by control and host, as plain values."""
        return [(*pair, waiver.model_dump(mode="json")) for pair, waiver in sorted(self._by_pair.items())]

    def apply(
        self, control: str, host: Host, verdict: Verdict, text: Text, today: date, spared: Sequence[str] = ()
    ) -> tuple[Verdict, Text, WaiverNote | None]:
        """Return verdict and text as they stand under the waiver of this control and host, if there is one.

        Only `fail` can be waived; `error` and `unreachable` stay, since nobody has seen what would be permitted.
        An expired waiver permits nothing, and a waiver of what passes is reported as unneeded.

        + spared: accounts but for which the control would pass; the ledger permits them, or it does not
        """
        permission: WaiverNote | None = None
        if spared:
            verdict, text, permission = _break_glass(host, spared, today)
        if verdict is Verdict.WAIVED:
            return verdict, text, permission
        waiver = self._by_pair.get((control, host.name))
        if waiver is None:
            return verdict, text, permission
        if today > waiver.expires:
            return (verdict, _expired(text, waiver) if verdict is Verdict.FAIL else text, _note(waiver, "expired"))
        if verdict is Verdict.FAIL:
            return Verdict.WAIVED, _waived(text, waiver), _note(waiver, "active")
        return verdict, text, _note(waiver, "unneeded" if verdict is Verdict.PASS else "active")


def load_waivers(inventory: Inventory, controls: Controls) -> Waivers:
    """Return the waivers beside the inventory (none where the file does not exist).

    Raises UsageError for a missing field, an unknown control or host, or two waivers of the same control and host.
    """
    path = inventory.path / FILE
    if not path.exists():
        return Waivers.none()
    value = read_yaml(path)
    if not isinstance(value, list | None):
        raise UsageError(
            says(
                en=f"{path}: must be a list of waivers, got {type(value).__name__}",
                zh=f"{path}：应为豁免列表，实际为 {type(value).__name__}",
            )
        )
    resolved: list[tuple[Waiver, frozenset[str]]] = []
    taken: dict[tuple[str, str], int] = {}
    for number, entry in enumerate(value or [], start=1):
        waiver = validate(Waiver, entry, f"{path}: waiver {number}")
        hosts = _resolve(path, number, waiver, inventory, controls)
        for host in sorted(hosts):
            first = taken.setdefault((waiver.control, host), number)
            if first != number:
                raise UsageError(_twice(path, first, number, waiver.control, host))
        resolved.append((waiver, hosts))
    return Waivers(resolved)


def _resolve(path: Path, number: int, waiver: Waiver, inventory: Inventory, controls: Controls) -> frozenset[str]:
    if waiver.control not in controls:
        known = ", ".join(controls)
        raise UsageError(
            says(
                en=f"{path}: waiver {number}: unknown control {waiver.control!r}; known controls: {known}",
                zh=f"{path}：第 {number} 条豁免：没有名为 {waiver.control!r} 的控制项；现有控制项：{known}",
            )
        )
    return frozenset(host.name for host in inventory.limit(waiver.hosts))


def _twice(path: Path, first: int, second: int, control: str, host: str) -> Text:
    return says(
        en=f"{path}: waivers {first} and {second} both speak of {control} on {host}; keep one of them",
        zh=f"{path}：第 {first} 条与第 {second} 条豁免均涉及主机 {host} 的 {control}；请保留其一",
    )


def _break_glass(host: Host, spared: Sequence[str], today: date) -> tuple[Verdict, Text, WaiverNote | None]:
    """Return what the ledger says of accounts that no failed login locks, where all others are locked as required."""
    entries = {entry.account: entry for entry in host.ledger.break_glass}
    unknown = [account for account in spared if account not in entries]
    if unknown:
        return (
            Verdict.FAIL,
            says(
                en=f"no number of failures locks {', '.join(unknown)}, which the ledger does not permit (break_glass); "
                "register it there, or let it be locked",
                zh=f"{'、'.join(unknown)} 不受登录失败锁定约束，而台账未予准许（break_glass）；请在台账登记，或取消例外",
            ),
            None,
        )
    first = min((entries[account] for account in spared), key=lambda entry: entry.expires)
    note = WaiverNote(
        reason=first.reason,
        owner=first.owner,
        approver=first.approver,
        compensation=tuple(first.compensation),
        expires=first.expires.isoformat(),
        state="expired" if today > first.expires else "active",
    )
    if today > first.expires:
        return (
            Verdict.FAIL,
            says(
                en=f"the break-glass account {first.account} is never locked, and its permission expired on {first.expires} "
                f"(owner: {first.owner}); have it approved anew, or strike it from the ledger and apply again",
                zh=f"应急账户 {first.account} 不受登录失败锁定约束，其准许已于 {first.expires} 到期（责任人：{first.owner}）；"
                "请重新报批，或从台账删除后重新整改",
            ),
            note,
        )
    names = ", ".join(spared)
    return (
        Verdict.WAIVED,
        says(
            en=f"waived until {first.expires} (approved by {first.approver}): no number of failures locks the break-glass "
            f"account {names}; every other account is locked as required",
            zh=f"已豁免至 {first.expires}（批准人：{first.approver}）：应急账户 {'、'.join(spared)} 不受登录失败锁定约束；"
            "其余账户均按要求锁定",
        ),
        note,
    )


def _waived(text: Text, waiver: Waiver) -> Text:
    return says(
        en=f"waived until {waiver.expires} (approved by {waiver.approver}), would fail: {text.en}",
        zh=f"已豁免至 {waiver.expires}（批准人：{waiver.approver}），实际不符合：{text.zh}",
    )


def _expired(text: Text, waiver: Waiver) -> Text:
    return says(
        en=f"{text.en} (its waiver expired on {waiver.expires}; owner: {waiver.owner})",
        zh=f"{text.zh}（豁免已于 {waiver.expires} 到期；责任人：{waiver.owner}）",
    )


def _note(waiver: Waiver, state: str) -> WaiverNote:
    return WaiverNote(
        reason=waiver.reason,
        owner=waiver.owner,
        approver=waiver.approver,
        compensation=tuple(waiver.compensation),
        expires=waiver.expires.isoformat(),
        state=state,
    )
