"""The command line in Chinese: not one English word but names of commands, options, values and products."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from medsec_cli.chinese import WORDS
from medsec_cli.main import build, main

# What Click says to who writes a command line, never to who uses one; and to Windows' console.
DEVELOPERS = re.compile(
    r"declaration|defined|same flag|start character|standard stream|colour|^Choice\(|^d$|Editing failed|Windows error"
)
# Names that are the same in every language.
NAMES = {
    "medsec",
    "hosts",
    "yml",
    "postgresql",
    "JSON",
    "JMESPATH",
    "DIR",
    "NW",
    "ansible",
    "pyinfra",
    "SSH",
    "ssh",
}


def said_by_click() -> Iterator[str]:
    for source in Path(click.__file__).parent.glob("*.py"):
        for call in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Name)
                and call.func.id in {"_", "ngettext"}
            ):
                yield from (a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str))


def test_all_that_click_says_to_a_user_is_translated() -> None:
    said = set(said_by_click())
    assert len(said) > 50
    assert {text for text in said if text not in WORDS and not DEVELOPERS.search(text)} == set()


def test_translations_keep_the_places_for_values() -> None:
    for english, chinese in WORDS.items():
        assert set(re.findall(r"\{(\w+)", chinese)) <= set(re.findall(r"\{(\w+)", english)), english
        assert re.search("[一-鿿]", chinese), english


def commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    yield context.command_path, command, context
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(inner, inner.context_class(inner, info_name=name, parent=context))


def named_by(command: click.Command, context: click.Context) -> set[str]:
    """Return the words of command and option names, of choices and of defaults."""
    texts = [context.command_path]
    for parameter in command.get_params(context):
        texts += [*parameter.opts, str(parameter.default)]
        texts += parameter.type.choices if isinstance(parameter.type, click.Choice) else []
        texts += re.findall(r"[a-z]+", parameter.metavar or "")
    if isinstance(command, click.Group):
        texts += command.commands
    return {word for text in texts for word in re.findall("[A-Za-z]+", text)}


def test_every_help_page_is_chinese() -> None:
    group = build("zh")
    pages = list(commands(group, group.context_class(group, info_name="medsec", **group.context_settings)))
    assert len(pages) > 15
    for path, command, context in pages:
        words = set(re.findall("[A-Za-z]{2,}", re.sub(r"`[^`]*`", "", command.get_help(context))))
        assert words - named_by(command, context) - NAMES == set(), path


@pytest.mark.parametrize(
    ("arguments", "chinese"),
    [
        (["verify", "--forks", "many"], "'--forks' 取值有误"),
        (["verify", "--forks", "0"], "超出范围"),
        (["verify", "--frks", "1"], "没有选项 '--frks'。 （是否想输入其中之一：'--forks'"),
        (["apply", "--engine", "salt"], "'salt' 不可用，可用：'ansible', 'pyinfra'。"),
        (["verfy"], "没有命令 'verfy'"),
        (["explain"], "缺少参数 '名称'"),
        (["verify", "--limit"], "选项 '--limit' 需要取值"),
        (["plan", "x", "y"], "多余的参数（x y）"),
    ],
    ids=" ".join,
)
def test_usage_errors_are_chinese_and_then_english_again(
    arguments: list[str], chinese: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {}
    for language in ("zh", "en"):
        monkeypatch.setattr(sys, "argv", ["medsec", "--lang", language, *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        said[language] = capsys.readouterr().err
    assert chinese in said["zh"]
    assert set(re.findall("[A-Za-z]{2,}", re.sub(r"'[^']*'", "", said["zh"]))) <= {"medsec", "local", *arguments}
    assert "Error: " in said["en"]
    assert not re.search("[一-鿿]", said["en"])


def test_no_child_process_inherits_a_language(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answers of ssh and sudo are read, in English."""
    monkeypatch.delenv("LANGUAGE", raising=False)
    build("zh")
    assert "LANGUAGE" not in os.environ
