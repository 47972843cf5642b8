"""Click's own words in Chinese: headings, errors, prompts, and what stands for a value.

Click asks gettext for each of them. A gettext catalogue would have to be chosen by the environment, which every program that
medsec starts would inherit, ssh and sudo among them, whose English answers are read. So Click's modules get a translator of
their own instead. What is not translated here stays English; a test compares this with what Click can say.
"""

from __future__ import annotations

import gettext
import re
import sys
from collections.abc import Mapping
from typing import Final

import click

from medsec.columns import width
from medsec.text import Language

WORDS: Final[Mapping[str, str]] = {
    "Aborted!": "已取消。",
    "deprecated": "已弃用",
    "Missing command.": "缺少命令。",
    "required": "必填",
    "Options": "选项",
    "Positional arguments": "位置参数",
    "Commands": "命令",
    "Usage:": "用法：",
    "Error: {message}": "错误：{message}",
    "Try '{command} {option}' for help.": "用 '{command} {option}' 查看用法。",
    "Got unexpected extra argument ({args})": "多余的参数（{args}）",
    "Got unexpected extra arguments ({args})": "多余的参数（{args}）",
    "Value must be an iterable.": "取值应为列表。",
    "DeprecationWarning: The command {name!r} is deprecated.{extra_message}": "注意：命令 {name!r} 已弃用。{extra_message}",
    "DeprecationWarning: The {param_type} {name!r} is deprecated.{extra_message}": "注意：{name!r} 已弃用。{extra_message}",
    "env var: {var}": "环境变量：{var}",
    "default: {default}": "默认：{default}",
    "(dynamic)": "（自动）",
    "Takes {nargs} values but 1 was given.": "需要 {nargs} 个值，只给出 1 个。",
    "Takes {nargs} values but {len} were given.": "需要 {nargs} 个值，给出了 {len} 个。",
    "Do you want to continue?": "是否继续？",
    "Confirm the action without prompting.": "不再询问，直接执行。",
    "%(prog)s, version %(version)s": "%(prog)s，版本 %(version)s",
    "Show the version and exit.": "显示版本号。",
    "Show this message and exit.": "显示本说明。",
    "Did you mean {possibility}?": "是否想输入 {possibility}？",
    "(Did you mean one of: {possibilities}?)": "（是否想输入其中之一：{possibilities}？）",
    "Missing argument": "缺少参数",
    "Missing option": "缺少选项",
    "Missing parameter": "缺少参数",
    "Missing {param_type}": "缺少 {param_type}",
    "Missing parameter: {param_name}": "缺少参数：{param_name}",
    "unknown error": "未知错误",
    "Invalid value: {message}": "取值有误：{message}",
    "Invalid value for {param_hint}: {message}": "{param_hint} 取值有误：{message}",
    "Could not open file {filename!r}: {message}": "无法打开文件 {filename!r}：{message}",
    "No such option {name!r}.": "没有选项 {name!r}。",
    "No such command {name!r}.": "没有命令 {name!r}。",
    "Option {name!r} does not take a value.": "选项 {name!r} 不带取值。",
    "Option {name!r} requires an argument.": "选项 {name!r} 需要取值。",
    "Option {name!r} requires {nargs} arguments.": "选项 {name!r} 需要 {nargs} 个取值。",
    "Argument {name!r} takes {nargs} values.": "参数 {name!r} 需要 {nargs} 个取值。",
    "Couldn't detect Bash version, shell completion is not supported.": "无法识别 Bash 版本，不支持命令补全。",
    "Shell completion is not supported for Bash versions older than 4.4.": "Bash 4.4 以前的版本不支持命令补全。",
    "Press any key to continue...": "按任意键继续……",
    "Repeat for confirmation": "请再输入一次",
    "Error: The two entered values do not match.": "错误：两次输入不一致。",
    "Error: invalid input": "错误：请输入 y 或 n",
    "file": "文件",
    "directory": "目录",
    "path": "路径",
    "Choose from:\n\t{choices}": "可用：\n\t{choices}",
    "{value!r} is not {choice}.": "{value!r} 不可用，应为 {choice}。",
    "{value!r} is not one of {choices}.": "{value!r} 不可用，可用：{choices}。",
    "{value!r} does not match the format {format}.": "{value!r} 不符合格式 {format}。",
    "{value!r} does not match the formats {formats}.": "{value!r} 不符合下列格式：{formats}。",
    "{value} is not in the range {range}.": "{value} 超出范围 {range}。",
    "{value!r} is not a valid boolean. Recognized values: {states}": "{value!r} 应为布尔值，可用：{states}",
    "{len_type} values are required, but {len_value} was given.": "需要 {len_type} 个值，给出了 {len_value} 个。",
    "{len_type} values are required, but {len_value} were given.": "需要 {len_type} 个值，给出了 {len_value} 个。",
    "{value!r} is not a valid {number_type}.": "{value!r} 不是有效的数值。",
    "{value!r} is not a valid UUID.": "{value!r} 不是有效的 UUID。",
    "{name} {filename!r} does not exist.": "{name} {filename!r} 不存在。",
    "{name} {filename!r} is a file.": "{name} {filename!r} 是文件。",
    "{name} {filename!r} is a directory.": "{name} {filename!r} 是目录。",
    "{name} {filename!r} is not readable.": "{name} {filename!r} 不可读。",
    "{name} {filename!r} is not writable.": "{name} {filename!r} 不可写。",
    "{name} {filename!r} is not executable.": "{name} {filename!r} 不可执行。",
}
# What stands for a value in a usage line, word by word.
_METAVARS: Final[Mapping[str, str]] = {
    "OPTIONS": "选项",
    "COMMAND": "命令",
    "ARGS": "参数",
    "CONTROL": "控制项",
    "DUE": "期限",
    "OWNER": "责任人",
    "PERSON": "人员",
    "REASON": "原因",
    "STEP": "步骤",
    "TIME": "时间",
    "DIR": "目录",
    "DIRECTORY": "目录",
    "FILE": "文件",
    "FLOAT": "数值",
    "HOST": "主机",
    "INTEGER": "整数",
    "ITEM": "检查项",
    "LABEL": "标签",
    "NAME": "名称",
    "OTHER": "另一记录",
    "PATH": "路径",
    "PATTERN": "匹配式",
    "PLAN": "计划文件",
    "PRODUCT": "产品",
    "TABLE": "数据表",
    "NUMBER": "编号",
    "RANGE": "",
    "RUN": "记录",
    "SECONDS": "秒",
    "SHELL": "SHELL",
    "TAG": "标签",
    "TEXT": "文本",
}


def speak(group: click.Group, language: Language) -> None:
    """Make Click speak `language` in `group` and its commands."""
    for name, module in list(sys.modules.items()):
        if name.startswith("click."):
            for word, given, translated in (
                ("_", gettext.gettext, _translated),
                ("ngettext", gettext.ngettext, _counted),
                ("term_len", width, width),  # help is aligned by it
            ):
                if hasattr(module, word):
                    setattr(module, word, translated if language == "zh" else given)
    if language == "zh":
        _in_chinese(group)


def _translated(message: str) -> str:
    return WORDS.get(message, message)


def _counted(singular: str, plural: str, count: int) -> str:
    return _translated(singular if count == 1 else plural)


class _Formatter(click.HelpFormatter):
    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, WORDS["Usage:"] if prefix is None else prefix)

    def write_heading(self, heading: str) -> None:
        self.write(f"{'':>{self.current_indent}}{heading}：\n")


class _Context(click.Context):
    formatter_class = _Formatter


def _in_chinese(command: click.Command) -> None:
    command.context_class = _Context
    command.options_metavar = _metavar(command.options_metavar or "") or None
    for parameter in command.params:
        unnamed = isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count)
        if not unnamed and not isinstance(parameter.type, click.Choice):
            metavar = parameter.metavar or parameter.make_metavar(click.Context(command))
            parameter.metavar = _metavar(metavar)
    if isinstance(command, click.Group):
        command.subcommand_metavar = _metavar(command.subcommand_metavar or "")
        for inner in command.commands.values():
            _in_chinese(inner)


def _metavar(metavar: str) -> str:
    words = re.sub(r"[A-Z]+", lambda found: _METAVARS.get(found.group(), found.group()), metavar)
    return words.strip()
