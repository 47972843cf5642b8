"""`medsec controls`, `medsec explain` and `medsec build`: reading the catalogue, and the indexes made from it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from medsec.catalogue import indexes
from medsec.catalogue.controls import Control, load_controls
from medsec.catalogue.standards import Clause, Item, Requirement, Standards, load_standards
from medsec.columns import table
from medsec.reports.words import RISKS
from medsec.resources import root
from medsec.text import Language, says
from medsec_cli.language import Say
from medsec_cli.options import chosen_controls, control_options


def commands(say: Say, language: Language) -> Iterator[click.Command]:
    """Yield the commands `controls`, `explain` and `build`."""

    @click.command("controls", help=say(says(en="List the controls.", zh="列出控制项。")))
    @control_options(say)
    def controls(controls: tuple[str, ...], items: tuple[str, ...], tags: tuple[str, ...]) -> None:
        _, chosen = chosen_controls(controls, items, tags)
        standards = load_standards(root() / "standards")
        rows = [
            [c.item, c.id, say(standards.severities[c.severity].text), c.proof, say(c.title.text)] for c in chosen
        ]
        heads = [
            says(en="item", zh="检查项"),
            says(en="control", zh="控制项"),
            says(en="severity", zh="风险等级"),
            says(en="proved on", zh="验证方式"),
            says(en="claim", zh="内容"),
        ]
        click.echo(table([say(head) for head in heads], rows))

    @click.command(
        "explain",
        help=say(
            says(
                en="Explain a control, an inspected item (NW-10), a clause (8.1.4.1 a)) or a requirement (S0-05).",
                zh="说明控制项、检查项（如 NW-10）、条款（如 8.1.4.1 a)）或来源要求（如 S0-05）。",
            )
        ),
    )
    @click.argument("name")
    def explain(name: str) -> None:
        catalogue = load_controls(root() / "roles")
        standards = load_standards(root() / "standards")
        if name in catalogue:
            click.echo("\n".join(_control(catalogue[name], standards, say)))
            return
        found = standards.find(name)
        serving = [control for control in catalogue.values() if _serves(control, found)]
        click.echo("\n".join(_standard(found, standards, {c.item for c in catalogue.values()}, say)))
        click.echo()
        title = says(en="Controls", zh="控制项")
        none = says(en="none yet: judged by people", zh="暂无，由人工核查")
        click.echo(f"{say(title)}: " + (", ".join(control.id for control in serving) or say(none)))

    @click.command(
        "build",
        help=say(says(en="Write the generated indexes of roles and docs.", zh="重新生成各角色索引与文档。")),
    )
    @click.option(
        "--check",
        is_flag=True,
        help=say(says(en="Only compare; exit 1 when stale.", zh="只比对；不一致时返回 1。")),
    )
    def build(check: bool) -> int:
        found = indexes.stale(root()) if check else indexes.write(root())
        for path in found:
            click.echo(path)
        return 1 if check and found else 0

    yield from (controls, explain, build)


def _serves(control: Control, found: Item | Clause | Requirement) -> bool:
    return control.item == found.id if isinstance(found, Item) else control.item in found.items


def _control(control: Control, standards: Standards, say: Say) -> Iterator[str]:
    item = standards.item(control.item)
    yield f"{control.id}: {say(control.title.text)}"
    yield f"{say(says(en='Item', zh='检查项'))}: {item.id} {say(item.title.text)}"
    yield f"{say(says(en='Severity', zh='风险等级'))}: {say(standards.severities[control.severity].text)}"
    yield f"{say(says(en='Clauses', zh='条款'))}: {', '.join(item.clauses)}"
    yield ""
    yield say(control.why.text)
    yield ""
    yield f"{say(says(en='Effect on people at work', zh='业务影响'))}: {say(control.impact.text)}"
    yield f"{say(says(en='Risk of the remedy', zh='整改风险'))}: {say(RISKS[control.risk])}"
    yield f"{say(says(en='Touches', zh='涉及范围'))}: {', '.join(_touched(control)) or '-'}"
    yield f"{say(says(en='Applies to', zh='适用对象'))}: {', '.join(control.applies_to.kinds)}"
    if item.remainder is not None:
        yield f"{say(LEFT)}: {say(item.remainder.text)}"
    if control.parameters:
        yield f"{say(says(en='Parameters', zh='参数'))}:"
    for name, parameter in control.parameters.items():
        origin = f"ledger.{parameter.ledger}" if parameter.ledger else repr(parameter.default)
        yield f"  {control.variable(name)} = {origin}: {say(parameter.doc.text)}"
    yield f"{say(says(en='Remedy', zh='整改'))}: medsec apply --control {control.id} --limit HOST"


def _touched(control: Control) -> list[str]:
    touches = control.touches
    return [*touches.files, *touches.records, *touches.units, *touches.packages, *touches.accounts]


def _standard(
    found: Item | Clause | Requirement, standards: Standards, served: set[str], say: Say
) -> Iterator[str]:
    if isinstance(found, Requirement):
        yield f"{found.id} {found.place}"
        yield say(found.text.text)
        yield f"{say(says(en='Items', zh='检查项'))}: {', '.join(found.items) or '-'}"
        return
    yield f"{found.id} {say(found.title.text)}"
    if isinstance(found, Item):
        yield f"{say(says(en='Severity', zh='风险等级'))}: {say(standards.severities[found.severity].text)}"
        yield f"{say(says(en='Check', zh='核查方法'))}: {say(found.check.text)}"
        if found.remainder is not None:
            yield f"{say(LEFT)}: {say(found.remainder.text)}"
        yield f"{say(says(en='Remedy', zh='整改方法'))}: {say(found.remedy.text)}"
        yield f"{say(says(en='Finding', zh='问题描述'))}: {say(found.finding.text)}"
        yield f"{say(says(en='Clauses', zh='条款'))}: {', '.join(found.clauses)}"
        return
    register = standards.registers[found.register_id]
    coverage = standards.coverage(found, served)
    yield say(register.title.text)
    yield say(found.text.text)
    yield f"{say(says(en='Wording', zh='条文来源'))}: {say(SEEN[found.seen])}"
    yield f"{say(says(en='Coverage', zh='覆盖情况'))}: {say(COVERAGE[coverage.status])}"
    yield f"{say(says(en='Items', zh='检查项'))}: {', '.join(found.items) or '-'}"


LEFT = says(en="Of the item, left to people", zh="检查项中未自动核查的部分")
SEEN = {
    "text": says(en="text seen", zh="已核对原文"),
    "number_from_memory": says(en="text seen, number from memory", zh="已见条文，条号凭记忆，引用前请核对"),
    "memory": says(en="from memory, to be compared with the original", zh="凭记忆，引用前请核对原文"),
}
COVERAGE = {
    "automated": says(en="automated", zh="自动核查"),
    "partly_automated": says(en="partly automated", zh="部分自动核查"),
    "manual": says(en="manual", zh="人工核查"),
    "planned": says(en="planned", zh="计划自动核查"),
}
