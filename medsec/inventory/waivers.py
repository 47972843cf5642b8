"""Waivers: dated permissions to fail, read from `inventory/waivers.yml`.

A waiver is of a control, or of an inspected item that no control judges. One of a database that cannot be patched (DB-06)
relies on other items, and holds only while all of them are met in the same run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from medsec.catalogue.controls import Controls
from medsec.catalogue.selection import applies
from medsec.catalogue.source import Strict, read_yaml, validate
from medsec.catalogue.standards import load_standards
from medsec.errors import UsageError
from medsec.evidence.findings import Verdict, WaiverNote
from medsec.evidence.run import Permission
from medsec.inventory.hosts import Host, Inventory
from medsec.resources import root
from medsec.text import Text, says

FILE = "waivers.yml"
# What must be met before an item may be left unmet, by the item's own rule (standards/items.yml).
NEEDED = {"DB-06": ("DB-01", "DB-02", "DB-03", "DB-04")}


class Proof(Strict):
    """A file that shows that a compensating measure is in force: a check plan's output, a screenshot, a signed sheet."""

    # The inspected item that it proves.
    item: str = Field(pattern=r"^[A-Z]{2}-[0-9]{2}$")
    # Below the inventory folder.
    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    seen: date

    def __str__(self) -> str:
        return f"{self.item}: {self.file} ({self.seen}, sha256 {self.sha256})"


class Waiver(Strict):
    """Permission to fail on some hosts until a day, for one control, or for one item that no control judges."""

    control: str | None = None
    item: str | None = None
    # Host names, group names or globs.
    hosts: list[str] = Field(min_length=1)
    reason: str
    owner: str
    approver: str
    # What protects the hosts meanwhile (补偿措施).
    compensation: list[str] = Field(min_length=1)
    # Items that must be met in the same run: by their controls, and by proof for a product that no control of theirs judges.
    relies_on: list[str] = Field(default_factory=list)
    # What shows that they are in force; an item must have it, a control may.
    proof: list[Proof] = Field(default_factory=list)
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

    @model_validator(mode="after")
    def _speaks_of_one_thing(self) -> Waiver:
        if (self.control is None) == (self.item is None):
            raise ValueError("name either a control or an item")
        if self.item is not None and not self.proof:
            raise ValueError("proof is missing: at least one file")
        if self.item is not None and self.relies_on:
            raise ValueError("only a control's waiver can rely on others (relies_on): people judge the item")
        return self

    @property
    def measures(self) -> list[str]:
        """The compensating measures, and what proves them."""
        return [*self.compensation, *map(str, self.proof)]


# The controls that must pass on a host, by the item that a waiver relies on.
Reliance = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Resolved:
    """A waiver, the hosts that it speaks of, and what it relies on at each of them."""

    waiver: Waiver
    hosts: frozenset[str]
    relies: Mapping[str, Reliance] = field(default_factory=dict)


class Waivers:
    """The waivers of a site, resolved to hosts."""

    def __init__(self, waivers: Iterable[Resolved]) -> None:
        self._by_pair: dict[tuple[str, str], Waiver] = {}
        self._relies: dict[tuple[str, str], Reliance] = {}
        self._of_items: list[tuple[Waiver, frozenset[str]]] = []
        for one in waivers:
            if one.waiver.control is None:
                self._of_items.append((one.waiver, one.hosts))
                continue
            for host in one.hosts:
                self._by_pair[one.waiver.control, host] = one.waiver
                self._relies[one.waiver.control, host] = one.relies.get(host, {})

    @classmethod
    def none(cls) -> Waivers:
        return cls(())

    def __len__(self) -> int:
        return len(self._by_pair) + len(self._of_items)

    def as_written(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return every waiver by control (or item) and host, as plain values."""
        pairs = dict(self._by_pair)
        pairs |= {(str(waiver.item), host): waiver for waiver, hosts in self._of_items for host in hosts}
        return [
            (*pair, waiver.model_dump(mode="json")) for pair, waiver in sorted(pairs.items(), key=lambda p: p[0])
        ]

    def permissions(self, hosts: Iterable[str]) -> list[Permission]:
        """Return what is permitted on `hosts` of the items that people judge."""
        chosen = set(hosts)
        return [
            Permission(
                item=str(waiver.item),
                hosts=sorted(named & chosen),
                reason=waiver.reason,
                owner=waiver.owner,
                approver=waiver.approver,
                compensation=waiver.measures,
                expires=waiver.expires,
            )
            for waiver, named in self._of_items
            if named & chosen
        ]

    def relied_on(self, control: str, host: str) -> frozenset[str]:
        """Return the controls whose verdicts on `host` must be known before the waiver of `control` there can be looked at."""
        return frozenset(one for known in self._relies.get((control, host), {}).values() for one in known)

    def apply(
        self,
        control: str,
        host: Host,
        verdict: Verdict,
        text: Text,
        today: date,
        spared: Sequence[str] = (),
        beside: Mapping[str, Verdict] | None = None,
    ) -> tuple[Verdict, Text, WaiverNote | None]:
        """Return verdict and text as they stand under the waiver of this control and host, if there is one.

        Only `fail` can be waived; `error` and `unreachable` stay, since nobody has seen what would be permitted.
        An expired waiver permits nothing, and a waiver of what passes is reported as unneeded.

        + spared: accounts but for which the control would pass; the ledger permits them, or it does not
        + beside: what the run's other controls came to on this host; a waiver that relies on one that did not pass permits nothing
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
            broken = _broken(self._relies.get((control, host.name), {}), beside or {})
            if broken:
                return verdict, _not_accepted(text, waiver, broken), _note(waiver, "refused")
            return Verdict.WAIVED, _waived(text, waiver), _note(waiver, "active")
        return verdict, text, _note(waiver, "unneeded" if verdict is Verdict.PASS else "active")


def load_waivers(inventory: Inventory, controls: Controls) -> Waivers:
    """Return the waivers beside the inventory (none where the file does not exist).

    Raises UsageError for a missing field, an unknown control, item or host, an item that controls judge, two waivers of
    the same on one host, for a proof that is missing or no longer what it was, and for one that does not rely on what it must.
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
    resolved: list[Resolved] = []
    taken: dict[tuple[str, str], int] = {}
    for number, entry in enumerate(value or [], start=1):
        waiver = validate(Waiver, entry, f"{path}: waiver {number}")
        one = _resolve(path, number, waiver, inventory, controls)
        for host in sorted(one.hosts):
            name = waiver.control or str(waiver.item)
            first = taken.setdefault((name, host), number)
            if first != number:
                raise UsageError(_twice(path, first, number, name, host))
        resolved.append(one)
    return Waivers(resolved)


def _resolve(path: Path, number: int, waiver: Waiver, inventory: Inventory, controls: Controls) -> Resolved:
    for proof in waiver.proof:
        _require_unaltered(path, number, proof)
    if waiver.item is not None:
        load_standards(root() / "standards").item(waiver.item)  # an unknown one is told as such
        serving = ", ".join(control.id for control in controls.values() if control.item == waiver.item)
        if serving:
            raise UsageError(
                says(
                    en=f"{path}: waiver {number}: {waiver.item} is judged by {serving}; waive the control instead",
                    zh=f"{path}：第 {number} 条豁免：{waiver.item} 由 {serving} 自动核查；请改为豁免该控制项",
                )
            )
    elif waiver.control not in controls:
        known = ", ".join(controls)
        raise UsageError(
            says(
                en=f"{path}: waiver {number}: unknown control {waiver.control!r}; known controls: {known}",
                zh=f"{path}：第 {number} 条豁免：没有名为 {waiver.control!r} 的控制项；现有控制项：{known}",
            )
        )
    hosts = inventory.limit(waiver.hosts)
    _require_reliance(path, number, waiver, controls)
    relies = {host.name: _relies(path, number, waiver, host, controls) for host in hosts}
    return Resolved(waiver, frozenset(host.name for host in hosts), relies)


def _require_reliance(path: Path, number: int, waiver: Waiver, controls: Controls) -> None:
    """Raise UsageError unless the waiver relies on what its item's own rule asks for, and on items that there are."""
    known = load_standards(root() / "standards")
    for item in waiver.relies_on:
        known.item(item)
    needed = () if waiver.control is None else NEEDED.get(controls[waiver.control].item, ())
    missing = [item for item in needed if item not in waiver.relies_on]
    if missing:
        raise UsageError(
            says(
                en=f"{path}: waiver {number}: {waiver.control} may be waived only where {', '.join(needed)} are met; "
                f"relies_on lacks {', '.join(missing)}",
                zh=f"{path}：第 {number} 条豁免：{waiver.control} 只有在 {'、'.join(needed)} 均符合时方可豁免；"
                f"relies_on 缺少 {'、'.join(missing)}",
            )
        )


def _relies(path: Path, number: int, waiver: Waiver, host: Host, controls: Controls) -> Reliance:
    """Return the controls that must pass on `host` for each item; raises UsageError where neither they nor proof speak of a product."""
    proved = {proof.item for proof in waiver.proof}
    entry = host.ledger
    found: dict[str, tuple[str, ...]] = {}
    for item in waiver.relies_on:
        speaking = [
            control
            for control in controls.values()
            if control.item == item
            and applies(
                control, kind=entry.kind, os_family=entry.os_family, runs=entry.runs, registers=entry.registers
            )
        ]
        judged = {control.applies_to.runs for control in speaking}
        unjudged = [] if None in judged else [product for product in entry.runs if product not in judged]
        if (unjudged or not speaking) and item not in proved:
            what = ", ".join(unjudged) or "-"
            raise UsageError(
                says(
                    en=f"{path}: waiver {number}: proof is missing: {item} on {host.name}, where no control of it judges {what}",
                    zh=f"{path}：第 {number} 条豁免：缺少佐证：主机 {host.name} 的 {item}（{what} 无自动核查项）",
                )
            )
        found[item] = tuple(control.id for control in speaking)
    return found


def _require_unaltered(path: Path, number: int, proof: Proof) -> None:
    """Raise UsageError unless the proof lies in the inventory's folder and is what it was when it was entered."""
    file = path.parent / proof.file
    try:
        inside = file.resolve().is_relative_to(path.parent.resolve())
        met = hashlib.sha256(file.read_bytes()).hexdigest() if inside else "-"
    except OSError:
        met = "-"
    if met != proof.sha256:
        raise UsageError(
            says(
                en=f"{path}: waiver {number}: {proof.file} is not the file that proves {proof.item}: its SHA-256 is {met}, "
                f"entered is {proof.sha256} (`-`: no such file below {path.parent}); look at the evidence again and enter it anew",
                zh=f"{path}：第 {number} 条豁免：{proof.file} 与登记的 {proof.item} 佐证不一致：SHA-256 为 {met}，登记为 {proof.sha256}"
                f"（“-”表示 {path.parent} 下没有该文件）；请重新核对佐证材料后登记",
            )
        )


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


_MET = {
    Verdict.FAIL: "不符合",
    Verdict.WAIVED: "已豁免",
    Verdict.ERROR: "无法判定",
    Verdict.UNREACHABLE: "无法连接",
    Verdict.NOT_SELECTED: "未选用",
    Verdict.NOT_APPLICABLE: "不适用",
}


def _broken(reliance: Reliance, beside: Mapping[str, Verdict]) -> list[Text]:
    """Return what a waiver relies on that did not pass in this run."""
    found = []
    for item, known in reliance.items():
        for control in known:
            verdict = beside.get(control)
            if verdict is None:
                found.append(
                    says(en=f"{item} {control}: not judged in this run", zh=f"{item} {control}：本次未核查")
                )
            elif verdict is not Verdict.PASS:
                found.append(says(en=f"{item} {control}: {verdict}", zh=f"{item} {control}：{_MET[verdict]}"))
    return found


def _not_accepted(text: Text, waiver: Waiver, broken: Sequence[Text]) -> Text:
    return says(
        en=f"{text.en} (its waiver until {waiver.expires} is not accepted, since what it relies on is not met: "
        f"{', '.join(one.en for one in broken)})",
        zh=f"{text.zh}（豁免至 {waiver.expires}，但其依靠的补偿措施未满足，不予认可：{'、'.join(one.zh for one in broken)}）",
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
        compensation=tuple(waiver.measures),
        expires=waiver.expires.isoformat(),
        state=state,
    )
