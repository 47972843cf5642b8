"""The catalogue as people read it: a page for each control, an index of all, a README for each role."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from medsec.catalogue.controls import Control, Controls, Parameter
from medsec.catalogue.source import Bilingual
from medsec.text import Language

_WORDS: dict[str, Bilingual] = {
    key: Bilingual(zh=zh, en=en)
    for key, zh, en in (
        ("controls", "控制项目录", "Controls"),
        ("control", "控制项", "Control"),
        ("item", "检查项", "Item"),
        ("family", "类别", "Family"),
        ("title", "名称", "Title"),
        ("why", "为什么", "Why"),
        ("impact", "对业务和使用者的影响", "What people will notice"),
        ("severity", "严重程度", "Severity"),
        ("risk", "实施风险", "Risk of applying"),
        ("proof", "验证方式", "Proven on"),
        ("applies", "适用主机", "Applies to"),
        ("runs", "且台账登记运行", "where the ledger says that it runs"),
        ("registers", "且台账登记有", "where the ledger registers"),
        ("parameters", "可调参数", "Parameters"),
        ("variable", "变量", "Variable"),
        ("type", "类型", "Type"),
        ("default", "默认值", "Default"),
        ("meaning", "含义", "Meaning"),
        ("ledger", "取自台账", "from the ledger"),
        ("touches", "会改动的内容", "What it may change"),
        ("nothing", "不改动任何内容", "nothing"),
        ("files", "文件", "Files"),
        ("records", "留存的备份或证据（回退时保留）", "Backups or evidence that stay after a rollback"),
        ("units", "服务单元", "Units"),
        ("packages", "软件包", "Packages"),
        ("accounts", "账户", "Accounts"),
        ("who", "由谁处理", "Who must act"),
        ("remainder", "检查项中未自动核查的部分", "What of the item is left to people"),
        ("use", "单独使用", "Use it alone"),
        ("role_intro", "本角色可由普通的 ansible-playbook 直接使用。", "This role works with plain ansible-playbook."),
        ("critical", "危急", "critical"),
        ("high", "高", "high"),
        ("medium", "中", "medium"),
        ("low", "低", "low"),
        ("none", "无", "none"),
        ("access", "可能影响登录，有防锁死保护", "access: may lock out, applied under guard"),
        ("service", "会重启服务", "service: restarts a service"),
        ("reboot", "需要重启主机", "reboot: needs a reboot"),
        ("container", "容器主机", "container host"),
        ("vm", "虚拟机", "virtual machine"),
        ("file_only", "仅核对文件，未在运行系统上验证", "files only, not proven on a running system"),
        ("terminal", "终端", "terminal"),
        ("server", "服务器", "server"),
        ("db", "数据库服务器", "database server"),
        ("backup", "备份服务器", "backup server"),
        ("gateway", "网关", "gateway"),
    )
}  # fmt: skip

Word = Callable[[str], str]


def catalogue(controls: Controls, remainders: Mapping[str, Bilingual], says: str) -> dict[str, str]:
    """Return the pages of the catalogue by file name.

    + remainders: of each item, what none of its controls judges
    + says: what the first line of each page says of its origin
    """
    pages = {}
    for language, suffix in _LANGUAGES.items():
        pages[f"README{suffix}"] = _head(says) + _index(controls, language)
        for control in controls.values():
            page = _page(control, remainders.get(control.item), language)
            pages[f"{control.id}{suffix}"] = _head(says) + page
    return pages


def role(family: str, members: list[Control], says: str) -> str:
    """Return the README of a role, in both languages."""
    parts = [f"# {family}\n"]
    for language in _LANGUAGES:
        word = _word(language)
        rows = [[f"[{c.id}]({_link(c, language)})", c.item, _in(c.title, language)] for c in members]
        parts.append(f"{word('role_intro')}\n\n{_table([word('control'), word('item'), word('title')], rows)}")
    play = f"```yaml\n- hosts: all\n  roles:\n    - role: {family}\n```\n"
    return _head(says) + "\n".join([*parts, play])


_LANGUAGES: dict[Language, str] = {"zh": ".zh-CN.md", "en": ".md"}


def _link(control: Control, language: Language) -> str:
    return f"../../docs/controls/{control.id}{_LANGUAGES[language]}"


def _head(says: str) -> str:
    return f"<!-- {says} -->\n\n"


def _word(language: Language) -> Word:
    return lambda key: _in(_WORDS[key], language)


def _in(text: Bilingual, language: Language) -> str:
    return text.zh if language == "zh" else text.en


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |\n" for line in lines)


def _index(controls: Controls, language: Language) -> str:
    word = _word(language)
    head = [word(key) for key in ("control", "item", "family", "severity", "title")]
    rows = [
        [
            f"[{control.id}]({control.id}{_LANGUAGES[language]})",
            control.item,
            control.family,
            word(control.severity),
            _in(control.title, language),
        ]
        for control in controls.values()
    ]
    return f"# {word('controls')}\n\n{_table(head, rows)}"


def _page(control: Control, remainder: Bilingual | None, language: Language) -> str:
    word = _word(language)
    sections = [
        f"# {_in(control.title, language)}\n",
        f"`{control.id}`\n",
        _facts(control, word),
        f"## {word('why')}\n\n{_in(control.why, language)}\n",
        f"## {word('impact')}\n\n{_in(control.impact, language)}\n",
    ]
    if control.who_acts is not None:
        sections.append(f"## {word('who')}\n\n{_in(control.who_acts, language)}\n")
    if remainder is not None:
        sections.append(f"## {word('remainder')}\n\n{_in(remainder, language)}\n")
    if control.parameters:
        sections.append(f"## {word('parameters')}\n\n{_parameters(control, language)}")
    sections.append(f"## {word('touches')}\n\n{_touches(control, word)}")
    return "\n".join(sections)


def _facts(control: Control, word: Word) -> str:
    rule = control.applies_to
    hosts = ", ".join(word(kind) for kind in rule.kinds)
    if rule.runs is not None:
        hosts += f" ({word('runs')} `{rule.runs}`)"
    if rule.registers is not None:
        hosts += f" ({word('registers')} `{rule.registers}`)"
    facts = {
        "item": control.item,
        "family": control.family,
        "severity": word(control.severity),
        "applies": hosts,
        "risk": word(control.risk),
        "proof": word(control.proof),
    }
    return _table([word("control"), control.id], [[word(key), value] for key, value in facts.items()])


def _parameters(control: Control, language: Language) -> str:
    word = _word(language)
    head = [word(key) for key in ("variable", "type", "default", "meaning")]
    rows = [
        [f"`{control.variable(name)}`", parameter.type, _default(parameter, word), _in(parameter.doc, language)]
        for name, parameter in control.parameters.items()
    ]
    return _table(head, rows)


def _default(parameter: Parameter, word: Word) -> str:
    if parameter.ledger is not None:
        return f"{word('ledger')} `{parameter.ledger}`"
    return f"`{json.dumps(parameter.default, ensure_ascii=False)}`"


def _touches(control: Control, word: Word) -> str:
    touched: Mapping[str, Any] = control.touches.model_dump()
    lines = [
        f"- {word(key)}: {', '.join(f'`{value}`' for value in values)}\n"
        for key, values in touched.items()
        if values and key in _WORDS
    ]
    return "".join(lines) or f"{word('nothing')}\n"
