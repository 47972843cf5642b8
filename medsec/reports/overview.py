"""What the first screen of every report says: can we be inspected, what is missing, whose it is, by when."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from medsec.catalogue.controls import Severity
from medsec.evidence.conclusion import ItemVerdict
from medsec.evidence.findings import Finding, Verdict
from medsec.evidence.reading import Run, Stored
from medsec.evidence.run import ControlFacts
from medsec.text import Text, says

SEVERITY_ORDER: Final[tuple[Severity, ...]] = ("critical", "high", "medium", "low")


@dataclass(frozen=True)
class Gap:
    """One control that fails on some hosts: a row of what is missing."""

    control: ControlFacts
    entries: list[Stored]
    owners: dict[str, list[str]]
    due: date

    @property
    def hosts(self) -> list[str]:
        return [entry.finding.host for entry in self.entries]


@dataclass(frozen=True)
class Unjudged:
    """Hosts that could not be judged for one reason, with the controls that are open on them."""

    verdict: Verdict
    text: Text
    entries: list[Stored]

    @property
    def hosts(self) -> list[str]:
        return list(dict.fromkeys(entry.finding.host for entry in self.entries))

    @property
    def controls(self) -> list[str]:
        """The controls that are open on at least one of the hosts."""
        return list(dict.fromkeys(entry.finding.control for entry in self.entries))


@dataclass(frozen=True)
class Overview:
    """The sums and rows that all reports share, so that no two of them can disagree."""

    run: Run
    gaps: list[Gap]
    waived: list[Stored]
    expired: list[Stored]
    # What the site's profiles leave out: hosts by control.
    not_selected: dict[str, list[str]]
    unjudged: list[Unjudged]
    # Pairs of host and control that the run set out to judge and did not reach.
    missing: list[tuple[str, str]]
    # Names behind which one and the same machine answered: what was proven of one is not proven of the other.
    same_machine: list[list[str]]
    severities: dict[Severity, int]
    hosts_judged: list[str]
    items: dict[str, ItemVerdict]

    @property
    def failing_hosts(self) -> list[str]:
        return [name for name in self.run.hosts if any(name in gap.hosts for gap in self.gaps)]

    def items_by_verdict(self, verdict: ItemVerdict) -> list[str]:
        return [item for item, met in self.items.items() if met is verdict]

    @property
    def covered(self) -> set[str]:
        """Items of which the run judged at least a part."""
        return {item for item, met in self.items.items() if met is not ItemVerdict.NOT_COVERED}

    @property
    def items_covered(self) -> int:
        return len(self.covered)

    @property
    def grave(self) -> int:
        """Controls that fail and are grave."""
        return sum(gap.control.severity == "critical" for gap in self.gaps)


def overview(run: Run) -> Overview:
    """Add up `run` for a report."""
    by_verdict: dict[Verdict, list[Stored]] = {verdict: [] for verdict in Verdict}
    for entry in run.stored:
        by_verdict[entry.finding.verdict].append(entry)
    seen = {(entry.finding.host, entry.finding.control) for entry in run.stored}
    missing = [(host, control) for host in run.hosts for control in run.controls if (host, control) not in seen]
    open_hosts = {host for host, _ in missing}
    open_hosts |= {entry.finding.host for entry in run.stored if entry.finding.verdict.unproven}
    counts = dict.fromkeys(SEVERITY_ORDER, 0)
    for entry in by_verdict[Verdict.FAIL]:
        counts[run.controls[entry.finding.control].severity] += 1
    return Overview(
        run=run,
        gaps=_gaps(run, by_verdict[Verdict.FAIL]),
        waived=by_verdict[Verdict.WAIVED],
        expired=[e for e in run.stored if e.finding.waiver and e.finding.waiver.state == "expired"],
        not_selected=_hosts_by_control(by_verdict[Verdict.NOT_SELECTED]),
        unjudged=_unjudged([*by_verdict[Verdict.UNREACHABLE], *by_verdict[Verdict.ERROR]]),
        missing=missing,
        same_machine=_same_machine(run),
        severities=counts,
        hosts_judged=[host for host in run.hosts if host not in open_hosts],
        items={item: run.conclusion.items.get(item, _uncovered(run, item)) for item in run.items},
    )


def _hosts_by_control(entries: Iterable[Stored]) -> dict[str, list[str]]:
    hosts: dict[str, list[str]] = {}
    for entry in entries:
        hosts.setdefault(entry.finding.control, []).append(entry.finding.host)
    return hosts


def _uncovered(run: Run, item: str) -> ItemVerdict:
    planned = any(control.item == item for control in run.controls.values())
    return ItemVerdict.UNDETERMINED if planned else ItemVerdict.NOT_COVERED


def _same_machine(run: Run) -> list[list[str]]:
    names: dict[tuple[str, str], list[str]] = {}
    for host, identity in run.identities.items():
        if identity is not None and identity.machine and identity.host_key:
            names.setdefault((identity.machine, identity.host_key), []).append(host)
    return [hosts for hosts in names.values() if len(hosts) > 1]


def warnings(view: Overview) -> list[Text]:
    """Return what a reader must know beside the verdicts: isolated hosts, and names that lead to one machine."""
    found = {
        host: known.isolated.split()
        for host, known in view.run.identities.items()
        if known and known.isolated.strip()
    }
    return [*_isolation_words(found), *map(same_machine_words, view.same_machine)]


def _isolation_words(found: dict[str, list[str]]) -> Iterator[Text]:
    for host, words in found.items():
        if words[-1] != "cut":
            yield says(
                en=f"{host} is recorded as isolated (run {words[0]}) and is NOT cut off: isolate it anew or pull its cable",
                zh=f"{host} 记录为已隔离（运行 {words[0]}），但隔离规则未生效：请重新隔离或拔除网线",
            )
        elif len(words) == 1:
            yield says(
                en=f"{host} is cut off by the rules of an isolation that nobody recorded",
                zh=f"{host} 被隔离规则断网，但没有隔离记录",
            )
        else:
            yield says(
                en=f"{host} is isolated since {words[1]} (run {words[0]}): what needs the network cannot be judged there",
                zh=f"{host} 自 {words[1]} 起处于隔离状态（运行 {words[0]}）：依赖网络的检查结果不作数",
            )


def same_machine_words(hosts: list[str]) -> Text:
    """Return the warning that these names lead to one machine, or to clones of one."""
    return says(
        en=f"{', '.join(hosts)} answered with one machine id and one host key: correct an address, or give clones new ones",
        zh=f"{'、'.join(hosts)} 的机器标识与主机密钥相同：请更正登记地址，或为克隆主机重新生成",
    )


def due(run: Run, finding: Finding) -> date:
    """Return the day by which a failure is to be mended.

    By the ledger's own days from the day of the run; what an expired waiver permitted was due when it expired.
    """
    days = run.header.deadlines.due(run.controls[finding.control].severity, run.header.started.astimezone().date())
    if finding.waiver is not None and finding.waiver.state == "expired":
        return min(days, date.fromisoformat(finding.waiver.expires))
    return days


def _gaps(run: Run, failures: Iterable[Stored]) -> list[Gap]:
    by_control: dict[str, list[Stored]] = {}
    for entry in failures:
        by_control.setdefault(entry.finding.control, []).append(entry)
    gaps = []
    for control_id, entries in by_control.items():
        control = run.controls[control_id]
        owners: dict[str, list[str]] = {}
        for entry in entries:
            owners.setdefault(run.hosts[entry.finding.host].owner, []).append(entry.finding.host)
        gaps.append(Gap(control, entries, owners, min(due(run, entry.finding) for entry in entries)))
    gaps.sort(key=lambda gap: (SEVERITY_ORDER.index(gap.control.severity), -len(gap.entries), gap.control.item))
    return gaps


def _unjudged(entries: Iterable[Stored]) -> list[Unjudged]:
    """Put the hosts together that could not be judged for the same reason, most checks first."""
    groups: dict[tuple[Verdict, str], Unjudged] = {}
    for entry in entries:
        finding = entry.finding
        text = _without_place(finding.text, finding.host)
        group = groups.setdefault((finding.verdict, text.en), Unjudged(finding.verdict, text, []))
        group.entries.append(entry)
    return sorted(groups.values(), key=lambda group: -len(group.entries))


def _without_place(text: Text, host: str) -> Text:
    """Leave out the `host NAME (user@address):` that a line beside the host's name need not repeat."""
    name = re.escape(host)
    return says(
        en=re.sub(rf"^host {name}(?: \([^)]*\))?: ", "", text.en),
        zh=re.sub(rf"^主机 {name}(?:（[^）]*）)?：", "", text.zh),
    )


def conclusion_words(view: Overview) -> Text:
    """Return the one sentence that a head of section asks for first: may the inspectors come?"""
    conclusion = view.run.conclusion
    controls, rest = len(view.gaps), len(view.items) - view.items_covered
    left = conclusion.applicable - conclusion.judged
    if controls:
        return _not_ready(view.grave, controls, left)
    if not conclusion.judged:
        return says(en="No conclusion: nothing could be judged", zh="无法下结论：没有任何一项得到判定")
    if left:
        return says(
            en=f"No conclusion yet: {left} of {conclusion.applicable} checks could not be judged",
            zh=f"尚不能下结论：应核查 {conclusion.applicable} 项次，其中 {left} 项次未能判定",
        )
    out = conclusion.counts[Verdict.NOT_SELECTED]
    out_en, out_zh = (f", {out} checks not selected", f"，未选用 {out} 项次") if out else ("", "")
    rest_en, rest_zh = f"{rest} items remain for people", f"另有 {rest} 个检查项须人工核查"
    if parts := len(view.items_by_verdict(ItemVerdict.PART_JUDGED)):
        rest_en = f"{rest} items and parts of {parts} remain for people"
        rest_zh = f"另有 {rest} 个检查项及 {parts} 个的其余部分须人工核查"
    if view.waived:
        count = len(view.waived)
        return says(
            en=f"What was checked by machine is met, or waived ({count}){out_en}; {rest_en}",
            zh=f"自动核查部分符合，其中豁免 {count} 项次{out_zh}；{rest_zh}",
        )
    return says(
        en=f"What was checked by machine is met{out_en}; {rest_en}",
        zh=f"自动核查部分全部符合{out_zh}；{rest_zh}",
    )


def _not_ready(grave: int, controls: int, left: int) -> Text:
    grave_en, grave_zh = (f" ({grave} grave)", f"（重大 {grave} 项）") if grave else ("", "")
    left_en, left_zh = (f", {left} checks not judged", f"，{left} 项次未能判定") if left else ("", "")
    return says(
        en=f"Not ready for inspection: {controls} not met{grave_en}{left_en}",
        zh=f"不具备迎检条件：{controls} 项要求不符合{grave_zh}{left_zh}",
    )


def why_exit(view: Overview) -> Text:
    """Return what the exit code stands for."""
    match view.run.conclusion.exit_code:
        case 0:
            return says(en="all pass", zh="全部符合")
        case 1:
            return says(en="findings", zh="有不符合项")
        case _:
            return says(en="incomplete", zh="核查未完成")
