"""Scripts made of a pack: the hardening statements, what undoes them, and the check plan."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from medsec.errors import UsageError
from medsec.statements import quoting
from medsec.statements.pack import Change, Dialect, Need, Pack, Part, Restart, Source, Statement
from medsec.statements.values import Values
from medsec.text import Language, Text, in_language, says

_WIDTH = 110
SOURCES: dict[Source, Text] = {
    "seen": says(en="text seen in a source", zh="已见原文"),
    "memory": says(en="from memory - compare with the vendor's manual first", zh="凭记忆，执行前请对照厂商手册"),
}
_RESTARTS: dict[Restart, Text] = {
    "none": says(en="no restart", zh="不重启"),
    "service": says(en="a restart is needed; choose a quiet hour", zh="需重启，请安排在业务低峰"),
}
_NEEDS: dict[Need, Text] = {
    "administrators": says(
        en="left out: database_statements_administrators names nobody",
        zh="未生成：database_statements_administrators 未填写",
    ),
    "clients": says(
        en="left out: application servers are known with --host only",
        zh="未生成：须以 --host 指定主机才能取得应用服务器地址",
    ),
    "only_client": says(
        en="left out: made only with --host and exactly one application server",
        zh="未生成：仅在以 --host 指定主机且台账只有一台应用服务器时生成",
    ),
}


@dataclass(frozen=True)
class Scripts:
    """A pack's three scripts for one host, in one language."""

    harden: str
    undo: str
    check: str


@dataclass(frozen=True)
class Rendered:
    """One part of a pack with its SQL; without SQL where it was left out."""

    part: Part
    before: str = ""
    do: str = ""
    undo: str = ""
    left_out: Text | None = None


def scripts(pack: Pack, values: Values, language: Language) -> Scripts:
    """Return the scripts of `pack` with `values`; raises UsageError for a value that cannot be quoted."""
    return Scripts(
        harden=_script(pack, values, language, _TITLES["harden"], _harden(pack, values, language)),
        undo=_script(pack, values, language, _TITLES["undo"], _undo(pack, values, language)),
        check=_script(pack, values, language, _TITLES["check"], _check(pack, values, language)),
    )


def rendered(pack: Pack, values: Values) -> list[Rendered]:
    """Return every part of `pack` (statements, files, queries) with its SQL."""
    parts = [*pack.statements, *pack.files, *pack.queries]
    return [_rendered(pack, part, values) for part in parts]


_TITLES = {
    "harden": says(
        en="HARDENING STATEMENTS: to be read by the database administrator and run by hand, one after the other",
        zh="加固语句：由数据库管理员审阅后逐条手工执行",
    ),
    "undo": says(
        en="UNDO of the hardening statements, last first. Where an answer was kept before, put that value back instead",
        zh="加固语句的撤销，顺序与执行时相反；执行前保存过原值的，以保存的原值为准",
    ),
    "check": says(
        en="CHECK PLAN: each query only reads and returns NO ROW where its claim holds; the output is the evidence",
        zh="核查方案：各查询只读，符合时不返回任何行；输出即为佐证材料",
    ),
}
_PROMISES = (
    says(
        en="NOT PROVEN ON A LIVE SERVER. Try it on a test server of the same version first, and have a backup that was restored",
        zh="未在真实服务器上验证。请先在同版本测试库上试行，并备有经恢复验证的备份",
    ),
    says(
        en="No statement here drops, locks or expires an application's account; what could is printed for you to review",
        zh="本文件不会删除、锁定应用程序账户，也不会使其过期；可能涉及账户的语句只输出供审阅",
    ),
    says(
        en="A query that fails, or that was not allowed to read, proves nothing: no row counts only without an error",
        zh="查询报错或无权读取不能作为佐证；只有未报错且无返回行才算符合",
    ),
)


def _script(pack: Pack, values: Values, language: Language, title: Text, body: Iterator[list[str]]) -> str:
    host = values.host or in_language(says(en="any host", zh="未指定"), language)
    labels = (
        says(en=f"{pack.title.en} ({pack.product}), host: ", zh=f"{pack.title.zh}（{pack.product}），主机："),
        says(en=f"Client: {pack.client.en}", zh=f"客户端：{pack.client.zh}"),
    )
    head = [
        *_remark(in_language(title, language)),
        *_remark(in_language(labels[0], language) + host),
        *(line for promise in _PROMISES for line in _remark(in_language(promise, language))),
        *_remark(in_language(labels[1], language)),
        "",
        *pack.prologue,
    ]
    return "\n".join(["\n".join(head).rstrip("\n"), *("\n".join(lines) for lines in body)]) + "\n"


def _harden(pack: Pack, values: Values, language: Language) -> Iterator[list[str]]:
    def say(en: str, zh: str) -> str:
        return in_language(says(en=en, zh=zh), language)

    changes: Sequence[Change] = [*pack.statements, *pack.files]
    for number, change in enumerate(changes, start=1):
        made = _rendered(pack, change, values)
        lines = ["", *_heading(f"[{number}/{len(changes)}]", change, in_language(change.title.text, language))]
        if made.left_out:
            yield [*lines, *_remark(in_language(made.left_out, language))]
            continue
        lines += _remark(say("Why: ", "理由：") + in_language(change.why.text, language))
        lines += _remark(say("Effect: ", "影响：") + in_language(change.effect.text, language))
        lines += _remark(
            in_language(_RESTARTS[change.restart], language)
            + say("; knowledge: ", "；依据：")
            + in_language(SOURCES[change.source], language)
        )
        if isinstance(change, Statement):
            if made.before:
                before = say(
                    "Keep the answer of the next query, the undo needs it", "请保存下一条查询的结果，撤销时使用"
                )
                lines += [*_remark(before), "", *_batch(pack, made.before + ";")]
            yield [*lines, "", *_batch(pack, made.do)]
        else:
            path = getattr(change, "path", "")
            lines += _remark(
                say(f"Edit the file {path} by hand, after a copy:", f"先备份，再手工编辑文件 {path}：")
            )
            yield [*lines, *(f"--    {line}" for line in made.do.splitlines())]


def _undo(pack: Pack, values: Values, language: Language) -> Iterator[list[str]]:
    for part in reversed(pack.files):
        lines = ["", *_heading("", part, in_language(part.title.text, language))]
        yield [*lines, *_remark(f"{part.path}: {in_language(part.undo.text, language)}")]
    for statement in reversed(pack.statements):
        made = _rendered(pack, statement, values)
        lines = ["", *_heading("", statement, in_language(statement.title.text, language))]
        yield lines + (
            _remark(in_language(made.left_out, language)) if made.left_out else ["", *_batch(pack, made.undo)]
        )


def _check(pack: Pack, values: Values, language: Language) -> Iterator[list[str]]:
    expected = says(en="No row when compliant; knowledge: ", zh="符合时不返回任何行；依据：")
    for number, query in enumerate(pack.queries, start=1):
        made = _rendered(pack, query, values)
        heading = _heading(f"[{number}/{len(pack.queries)}]", query, in_language(query.claim.text, language))
        if made.left_out:
            yield ["", *heading, *_remark(in_language(made.left_out, language))]
            continue
        lines = _remark(in_language(expected, language) + in_language(SOURCES[query.source], language))
        yield ["", *heading, *lines, "", *_batch(pack, made.do + ";")]


def _heading(number: str, part: Part, title: str) -> list[str]:
    return _remark(" ".join(filter(None, (number, part.item, f"{part.id}:", title))))


def _batch(pack: Pack, sql: str) -> list[str]:
    return [*sql.splitlines(), *([pack.batch] if pack.batch else [])]


def _remark(text: str) -> list[str]:
    """Return `text` as comment lines.

    None ends in `-` or `;`: SQL*Plus takes the one for "goes on in the next line", the other for the end of a statement.
    """
    return ["-- " + line.rstrip("-;") for line in _wrapped(text)]


def _wrapped(text: str) -> list[str]:
    """Wrap by columns, a Chinese character counting two, since it has no blanks to break at."""
    lines: list[str] = []
    for paragraph in textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False):
        line, width = "", 0
        for letter in paragraph:
            columns = 2 if unicodedata.east_asian_width(letter) in "FW" else 1
            if width + columns > _WIDTH and (columns == 2 or letter == " ") and letter not in "，。；：、）”":
                lines.append(line)
                line, width = "", 0
            line, width = line + letter, width + columns
        lines.append(line)
    return [line.strip() for line in lines]


def _rendered(pack: Pack, part: Part, values: Values) -> Rendered:
    missing = next((need for need in part.needs if not values.has(need)), None)
    if missing is not None:
        return Rendered(part, left_out=_NEEDS[missing])
    texts = {field: getattr(part, field, None) for field in ("before", "do", "undo", "query")}
    sql = {field: _sql(pack, part, text, values) for field, text in texts.items() if isinstance(text, str)}
    return Rendered(part, sql.get("before", ""), sql.get("do", sql.get("query", "")), sql.get("undo", ""))


def _sql(pack: Pack, part: Part, template: str, values: Values) -> str:
    try:
        return _environment(pack.dialect).from_string(template).render(values.variables()).strip()
    except (TemplateError, TypeError) as error:
        raise UsageError(
            says(
                en=f"{pack.product}: {part.id}: the template does not render: {error}",
                zh=f"{pack.product}：{part.id}：模板渲染失败：{error}",
            )
        ) from error


@cache
def _environment(dialect: Dialect) -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=quoting.finalize,
        autoescape=False,
    )
    environment.filters |= quoting.filters(dialect)
    return environment
