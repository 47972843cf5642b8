"""A run on one screen, at four hosts or four hundred."""

from __future__ import annotations

from collections.abc import Iterator

from medsec.columns import aligned, clip, width
from medsec.evidence.findings import Verdict
from medsec.evidence.plain import plain
from medsec.evidence.reading import Run
from medsec.evidence.run import Permission
from medsec.reports.folding import fold, named
from medsec.reports.overview import (
    SEVERITY_ORDER,
    Gap,
    Overview,
    Unjudged,
    conclusion_words,
    overview,
    warnings,
    why_exit,
)
from medsec.reports.words import SEVERITIES, VERDICTS
from medsec.text import Language, Text, says

# One screen; rows for what fails, as many as there is room for, and for what could not be judged.
_LINES = 24
_GAPS = 6
_UNJUDGED = 3


def summary(run: Run, language: Language, *, columns: int = 80) -> list[str]:
    """Return at most 24 lines, each at most `columns` wide (a Chinese character takes two).

    Only the line with the path of the evidence may be longer: a path that is cut leads nowhere. Words before symbols;
    nothing that a GBK terminal cannot show is added by medsec itself.
    """
    view = overview(run)
    above, below = list(_sums(view, language)), list(_rest(view, language, columns))
    proof = _say(
        language, en=" (each check: evidence/HOST/CONTROL.json)", zh="（逐项：evidence/主机/控制项.json）"
    )
    last = _say(language, en="Evidence: ", zh="佐证材料：") + str(run.path) + proof
    gaps = _gaps(view, language, most=min(_GAPS, _LINES - len(above) - len(below) - 3))
    return [*(clip(line, columns) for line in (*above, *gaps, *below)), last]


def _sums(view: Overview, language: Language) -> Iterator[str]:
    run = view.run
    when = run.header.started.astimezone().strftime("%Y-%m-%d %H:%M")
    institution = run.header.institution.text.in_language(language)
    yield f"{institution}  {when}  {_say(language, en='verification', zh='主机安全核查')} {run.header.id}"
    yield _say(language, en="Conclusion: ", zh="结论：") + conclusion_words(view).in_language(language)
    yield _coverage(view).in_language(language)
    yield _counts(view, language)
    yield _by_severity(view, language)
    if view.not_selected:
        yield _not_selected(view, language)
    if view.waived:
        yield _waived(view).in_language(language)
    for permission in view.run.header.permissions:
        yield _permitted(permission, view).in_language(language)


def _gaps(view: Overview, language: Language, *, most: int) -> Iterator[str]:
    """Yield what is missing, by when, and whose it is: one aligned line for each control that fails."""
    if not view.gaps:
        return
    yield ""
    words = says(
        en="Not met, gravest first; due, owners, hosts", zh="不符合项（按风险排列；完成时限、责任人、主机）"
    )
    yield _head(len(view.gaps), most, words, language)
    yield from aligned([_gap(view, gap, language) for gap in view.gaps[:most]])


def _rest(view: Overview, language: Language, columns: int) -> Iterator[str]:
    for text in warnings(view)[:2]:
        yield _say(language, en="Warning: ", zh="注意：") + text.in_language(language)
    if view.unjudged or view.missing:
        yield ""
        yield _head(
            len(view.unjudged),
            _UNJUDGED,
            says(en="Not judged, never a pass", zh="未能判定（不计入符合）"),
            language,
        )
        for group in view.unjudged[:_UNJUDGED]:
            yield _unjudged(group, language)
        if view.missing:
            yield _cut_short(view).in_language(language)
    yield ""
    yield from _next_step(view, language, columns)
    code, why = view.run.conclusion.exit_code, why_exit(view)
    yield _say(language, en=f"Exit code: {code} ({why.en})", zh=f"退出码：{code}（{why.zh}）")


def _coverage(view: Overview) -> Text:
    judged, hosts = len(view.hosts_judged), len(view.run.hosts)
    covered, items = view.items_covered, len(view.items)
    done, all_ = view.run.conclusion.judged, view.run.conclusion.applicable
    parts = sum(bool(item.remainder) for name, item in view.run.items.items() if name in view.covered)
    parts_en, parts_zh = (f" ({parts} in part)", f"（部分核查 {parts} 项）") if parts else ("", "")
    return says(
        en=f"Coverage: hosts judged in full {judged}/{hosts}, checks {done}/{all_}, items {covered}/{items}{parts_en}",
        zh=f"覆盖：主机全部判定 {judged}/{hosts} 台，判定 {done}/{all_} 项次，检查项 {covered}/{items} 项{parts_zh}",
    )


def _counts(view: Overview, language: Language) -> str:
    counts = view.run.conclusion.counts
    short = {**VERDICTS, Verdict.NOT_APPLICABLE: says(en="n/a", zh="不适用")}
    # What profiles leave out has a line of its own.
    shown = [verdict for verdict in Verdict if verdict is not Verdict.NOT_SELECTED]
    words = [f"{short[verdict].in_language(language)} {counts[verdict]}" for verdict in shown]
    return _say(language, en="Verdicts: ", zh="判定：") + _gap_between(language).join(words)


def _not_selected(view: Overview, language: Language) -> str:
    count = view.run.conclusion.counts[Verdict.NOT_SELECTED]
    opening, closing = ("（", "）") if language == "zh" else (" (", ")")
    controls = (
        f"{control}{opening}{named(hosts, language, most=2)}{closing}"
        for control, hosts in view.not_selected.items()
    )
    first = _say(language, en=f"Not selected by the site: {count} checks: ", zh=f"本单位未选用：{count} 项次：")
    return first + _gap_between(language).join(controls)


def _by_severity(view: Overview, language: Language) -> str:
    words = [f"{SEVERITIES[s].in_language(language)} {view.severities[s]}" for s in SEVERITY_ORDER]
    return _say(language, en="Failures by risk: ", zh="不符合按风险：") + _gap_between(language).join(words)


def _head(count: int, most: int, words: Text, language: Language) -> str:
    if count <= most:
        return words.in_language(language) + _say(language, en=":", zh="：")
    more = says(en=f" (first {most} of {count}):", zh=f"，共 {count} 项，列前 {most} 项：")
    return words.in_language(language) + more.in_language(language)


def _gap(view: Overview, gap: Gap, language: Language) -> list[str]:
    severity = SEVERITIES[gap.control.severity].in_language(language)
    title = gap.control.title.text.in_language(language)
    return [
        f"  [{severity}] {gap.control.item}",
        _due(view, gap, language),
        _owners(gap, language),
        _hosts(gap, language),
        title,
    ]


def _due(view: Overview, gap: Gap, language: Language) -> str:
    found = view.run.header.started.astimezone().date()
    day = gap.due.strftime("%m-%d") if gap.due.year == found.year else gap.due.isoformat()
    if gap.due < found:
        return _say(language, en=f"overdue {day}", zh=f"{day} 已逾期")
    return _say(language, en=f"by {day}", zh=f"{day} 前")


def _owners(gap: Gap, language: Language) -> str:
    """Name the owner of most hosts, and say how many others there are."""
    first = max(gap.owners, key=lambda owner: len(gap.owners[owner]))
    others = len(gap.owners) - 1
    if not others:
        return first
    return _say(language, en=f"{first} +{others}", zh=f"{first}等 {others + 1} 人")


def _hosts(gap: Gap, language: Language) -> str:
    folded = fold(gap.hosts)
    if language == "zh" or len(folded) == 1:
        return named(gap.hosts, language, most=1)
    return f"{gap.hosts[0]} +{len(gap.hosts) - 1}"


def _waived(view: Overview) -> Text:
    """Say how much is only permitted, and by when the first permission ends, and who answers for it."""
    count = len(view.waived)
    notes = [entry.finding.waiver for entry in view.waived if entry.finding.waiver is not None]
    first = min(notes, key=lambda note: note.expires)
    return says(
        en=f"Waived: {count} check{'s' * (count > 1)}, the first until {first.expires} (owner {first.owner})",
        zh=f"已豁免：{count} 项次，最早 {first.expires} 到期（责任人 {first.owner}）",
    )


def _permitted(permission: Permission, view: Overview) -> Text:
    """Say which item people will find unmet, and by whose permission."""
    hosts, until = ", ".join(permission.hosts), permission.expires
    if permission.expired(view.run.header.started):
        return says(
            en=f"Permission EXPIRED on {until}: {permission.item} unmet on {hosts} (owner {permission.owner})",
            zh=f"例外已于 {until} 到期：{permission.item}，主机 {hosts}（责任人 {permission.owner}）",
        )
    return says(
        en=f"Permitted until {until}, for people to check: {permission.item} unmet on {hosts} (owner {permission.owner})",
        zh=f"登记例外至 {until}，须人工核查：{permission.item}，主机 {hosts}（责任人 {permission.owner}）",
    )


def _unjudged(group: Unjudged, language: Language) -> str:
    word = VERDICTS[group.verdict].in_language(language)
    text = plain(group.text.in_language(language)).replace("\n", " ")
    count = len(group.entries)
    amount = _say(language, en=f"{count} check{'s' * (count > 1)}", zh=f"{count} 项次")
    return f"  [{word}] {named(group.hosts, language, most=2)} ({amount}): {text}"


def _cut_short(view: Overview) -> Text:
    count = len(view.missing)
    return says(
        en=f"  [cut short] {count} checks were not reached",
        zh=f"  [中断] 尚有 {count} 项次未核查",
    )


def _next_step(view: Overview, language: Language, columns: int) -> Iterator[str]:
    """Yield commands that can be copied whole: as many hosts as the line has room for."""
    first = _say(language, en="Next: ", zh="下一步：")
    blank = " " * width(first)
    if not view.run.header.registered:
        if view.gaps:
            yield f"{first}medsec explain {view.gaps[0].control.id}"
        yield f"{blank if view.gaps else first}medsec init DIR"
    elif not view.run.finished:
        yield f"{first}medsec verify --resume runs/{view.run.path.name}"
    elif view.gaps:
        gap = view.gaps[0]
        if gap.control.enforce:
            yield _with_hosts(f"{first}medsec plan --control {gap.control.id} --limit ", gap.hosts, columns)
        elif gap.control.who_acts is not None:
            yield first + gap.control.who_acts.text.in_language(language)
        yield f"{blank}medsec explain {gap.control.id}"
    elif view.unjudged or view.missing:
        hosts = [host for group in view.unjudged for host in group.hosts] or [host for host, _ in view.missing]
        yield _with_hosts(f"{first}medsec verify --limit ", list(dict.fromkeys(hosts)), columns)
    else:
        yield f"{first}medsec report --format html=report.html"


def _with_hosts(command: str, hosts: list[str], columns: int) -> str:
    line = command + hosts[0]
    for host in hosts[1:]:
        if width(line) + len(host) + 1 > columns:
            break
        line += f",{host}"
    return line


def _say(language: Language, *, en: str, zh: str) -> str:
    return zh if language == "zh" else en


def _gap_between(language: Language) -> str:
    return "  " if language == "zh" else ", "
