"""YAML files of entries with ids, whose errors name the file, the line and the entry."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from medsec.catalogue.source import Bilingual, read_yaml
from medsec.errors import UsageError
from medsec.text import Text, says

Model = TypeVar("Model", bound=BaseModel)


class Named(Protocol):
    """What has an id."""

    @property
    def id(self) -> str: ...


Entry = TypeVar("Entry", bound=Named)


class LocatedFile:
    """A YAML file of the standards, which can tell the line of an entry when something is wrong with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        data = read_yaml(path)
        if not isinstance(data, dict):
            raise UsageError(
                says(
                    en=f"{path}: must be a mapping, got {type(data).__name__}. Restore the file or correct it",
                    zh=f"{path}：应为映射，实为 {type(data).__name__}。请恢复或更正该文件",
                )
            )
        self.data: dict[str, Any] = data

    def expect(self, keys: set[str]) -> None:
        """Raise unless the file's top-level keys are exactly `keys`."""
        if set(self.data) != keys:
            wrong = ", ".join(sorted(map(str, set(self.data) ^ keys)))
            raise self.error(
                (), Text(f"missing or unknown key: {wrong}", f"缺少或多余的键：{wrong}"), ", ".join(sorted(keys))
            )

    def entries(self, key: str, model: type[Model], **filled: Any) -> list[Model]:
        """Return the list under `key` as models, each with the fields `filled` added."""
        rows = self.data.get(key)
        if not isinstance(rows, list) or not rows:
            raise self.error(
                (key,), Text(f"{key} must be a list with entries", f"{key} 应为非空列表"), "a list / 列表"
            )
        return [self._entry(key, position, row, model, filled) for position, row in enumerate(rows)]

    def _entry(self, key: str, position: int, row: Any, model: type[Model], filled: dict[str, Any]) -> Model:
        value = {**row, **filled} if isinstance(row, dict) else row
        written = set(row) & set(filled) if isinstance(row, dict) else set()
        if written:
            name = ", ".join(sorted(written))
            raise self.error((key, position, name), Text(f"{name} is not written here", f"此处不应写 {name}"), "-")
        try:
            return model.model_validate(value)
        except ValidationError as error:
            raise self.invalid((key, position), error) from error

    def vocabulary(self, key: str) -> dict[str, Bilingual]:
        """Return the mapping of names to bilingual words under `key`."""
        words = self.data[key]
        if not isinstance(words, dict) or not words:
            raise self.error(
                (key,), Text(f"{key} must be a mapping with entries", f"{key} 应为非空映射"), "name: {zh, en}"
            )
        found: dict[str, Bilingual] = {}
        for name, word in words.items():
            try:
                found[name] = Bilingual.model_validate(word)
            except ValidationError as error:
                raise self.invalid((key, name), error) from error
        return found

    def by_id(self, key: str, entries: Iterable[Entry]) -> dict[str, Entry]:
        """Return `entries` by id, in order; raise when an id is written twice."""
        found: dict[str, Entry] = {}
        for position, entry in enumerate(entries):
            if entry.id in found:
                raise self.error(
                    (key, position),
                    Text(f"the id {entry.id} is written twice", f"编号 {entry.id} 重复"),
                    "unique / 唯一",
                )
            found[entry.id] = entry
        return found

    def wrong_reference(self, key: str, position: int, field: str, value: str, known: Iterable[str]) -> UsageError:
        """Return the error for `value`, which stands in `field` of an entry and names nothing that exists."""
        near = get_close_matches(value, list(known), n=3)
        accepted = ", ".join(near) if near else "an id that exists / 已有的编号"
        return self.error(
            (key, position, field),
            Text(f"{field}: {value!r} does not exist", f"{field}：{value!r} 不存在"),
            accepted,
        )

    def error(self, where: tuple[str | int, ...], what: Text, accepted: str) -> UsageError:
        """Return the error that says `what` about the value at `where`, and what is `accepted` there."""
        place = self.place(where)
        return UsageError(
            says(
                en=f"{place}: {what.en}; accepted: {accepted}. Correct the entry and run the command again",
                zh=f"{place}：{what.zh}；可接受：{accepted}。请更正后重新运行",
            )
        )

    def invalid(self, where: tuple[str | int, ...], error: ValidationError) -> UsageError:
        """Return the error that tells the first thing that `error` found wrong with the value at `where`."""
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "entry"
        met = "" if first["type"] == "missing" else f", got {first.get('input')!r:.120}"
        place = self.place((*where, *first["loc"]))
        more = len(error.errors()) - 1
        rest_en, rest_zh = (f" ({more} more in this entry)", f"（本条另有 {more} 处）") if more else ("", "")
        return UsageError(
            says(
                en=f"{place}: {field}: {first['msg']}{met}{rest_en}. Correct the entry and run the command again",
                zh=f"{place}：{field}：{first['msg']}{met}{rest_zh}。请更正后重新运行",
            )
        )

    def place(self, where: tuple[str | int, ...]) -> str:
        """Return `file:line (entry)` for the value at `where`, or for the nearest value above it."""
        # Lines are found only when something is wrong: keeping them would cost every start of the program.
        with self.path.open(encoding="utf-8") as stream:
            node = yaml.compose(stream, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        line, name = 1, ""
        for step in where:
            if node is None:
                break
            child = _child(node, step)
            if child is None:
                break
            line, node = child
            name = _id_of(node) or name
        entry = f" ({name})" if name else ""
        return f"{self.path}:{line}{entry}"


def _child(node: yaml.Node, step: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line + 1, node.value[step]
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return key.start_mark.line + 1, value
    return None


def _id_of(node: yaml.Node) -> str | None:
    if isinstance(node, yaml.MappingNode):
        return next((str(value.value) for key, value in node.value if key.value == "id"), None)
    return None
