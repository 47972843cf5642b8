"""What the findings of a run add up to: counts, the verdict of each inspected item (检查项), the exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from medsec.evidence.findings import Finding, Verdict


class ItemVerdict(StrEnum):
    """The words of an inspection (GB/T 28448-2019), and three that keep them honest."""

    CONFORMS = "conforms"  # 符合
    PART_JUDGED = "part_judged"  # 已核部分符合: what is judged passes, and a part of the item is left to people
    PARTLY = "partly"  # 部分符合
    VIOLATES = "violates"  # 不符合
    NOT_APPLICABLE = "not_applicable"  # 不适用
    UNDETERMINED = "undetermined"  # 无法判定
    NOT_COVERED = "not_covered"  # 未覆盖: no control of this run speaks of it


@dataclass(frozen=True)
class Conclusion:
    """The sums of a run."""

    planned: int
    counts: dict[Verdict, int]
    # By item, over all hosts; and by (host, item).
    items: dict[str, ItemVerdict]
    cells: dict[tuple[str, str], ItemVerdict]

    @property
    def judged(self) -> int:
        """Findings that say something about a host's state: pass, fail and waived."""
        return sum(self.counts[verdict] for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.WAIVED))

    @property
    def applicable(self) -> int:
        """Pairs that were to be judged: neither beside the point by the ledger nor left out by a profile."""
        return self.planned - self.counts[Verdict.NOT_APPLICABLE] - self.counts[Verdict.NOT_SELECTED]

    @property
    def complete(self) -> bool:
        """Whether every pair that applies and was selected was judged, and at least one was judged."""
        return self.judged > 0 and self.judged == self.applicable

    @property
    def exit_code(self) -> int:
        """0 all pass, 1 findings, 3 incomplete (which outranks 1). A waived failure is dated permission: it is not 1."""
        if not self.complete:
            return 3
        return 1 if self.counts[Verdict.FAIL] else 0


def conclude(
    findings: Iterable[Finding], *, planned: int, remainders: Mapping[str, Collection[str]] | None = None
) -> Conclusion:
    """Add up `findings`, of which the run set out to make `planned`.

    + remainders: the items of which the controls judge a part only, each with the hosts that it speaks of
    """
    left = remainders or {}
    counts: Counter[Verdict] = Counter()
    cells: dict[tuple[str, str], Counter[Verdict]] = {}
    items: dict[str, Counter[Verdict]] = {}
    for finding in findings:
        counts[finding.verdict] += 1
        cells.setdefault((finding.host, finding.item), Counter())[finding.verdict] += 1
        items.setdefault(finding.item, Counter())[finding.verdict] += 1
    return Conclusion(
        planned=planned,
        counts={verdict: counts[verdict] for verdict in Verdict},
        items={
            item: item_verdict(seen, whole=item not in left, concerned=bool(left.get(item)))
            for item, seen in items.items()
        },
        cells={
            (host, item): item_verdict(seen, whole=item not in left, concerned=host in left.get(item, ()))
            for (host, item), seen in cells.items()
        },
    )


def item_verdict(seen: Counter[Verdict], *, whole: bool = True, concerned: bool = False) -> ItemVerdict:
    """Return the verdict of an item from those of its controls.

    + whole: whether its controls judge all of it
    + concerned: whether the rest of it speaks of the hosts, though no control may

    A failure is a failure whatever could not be judged beside it. A waived failure keeps an item from 符合: the
    requirement is not met, its absence is only permitted for a time. So does a control that a profile leaves out, and
    a part of the item that no control judges: nobody has looked. A database of another product is not beside the point.
    """
    passed, failed, waived = seen[Verdict.PASS], seen[Verdict.FAIL], seen[Verdict.WAIVED]
    unproven = seen[Verdict.ERROR] + seen[Verdict.UNREACHABLE]
    if failed:
        return ItemVerdict.PARTLY if passed else ItemVerdict.VIOLATES
    if unproven or (passed and not waived and seen[Verdict.NOT_SELECTED]):
        return ItemVerdict.UNDETERMINED
    if waived:
        return ItemVerdict.PARTLY
    if passed:
        return ItemVerdict.CONFORMS if whole else ItemVerdict.PART_JUDGED
    beside = seen[Verdict.NOT_APPLICABLE] and not seen[Verdict.NOT_SELECTED] and not concerned
    return ItemVerdict.NOT_APPLICABLE if beside else ItemVerdict.NOT_COVERED
