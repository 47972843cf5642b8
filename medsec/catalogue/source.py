"""Reading the catalogue's YAML files strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from medsec.errors import UsageError
from medsec.text import Text, says


class Strict(BaseModel):
    """A model that refuses what it does not know, so that a misspelt key is an error and not a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Bilingual(Strict):
    """A text in both languages, as YAML writes it: `{zh: ..., en: ...}`."""

    zh: str
    en: str

    @model_validator(mode="after")
    def _both_are_written(self) -> Bilingual:
        if not self.zh.strip() or not self.en.strip():
            raise ValueError("both zh and en must be written")
        return self

    @property
    def text(self) -> Text:
        return says(en=self.en, zh=self.zh)


Model = TypeVar("Model", bound=BaseModel)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader that refuses a key written twice, where YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str | int) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is written twice", key_node.start_mark
                )
            if isinstance(key, str | int):
                seen.add(key)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def read_yaml(path: Path) -> Any:
    """Return what the YAML file `path` holds.

    Raises UsageError, naming the file and the line, when it is missing or does not parse.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(says(en=f"{path}: no such file", zh=f"{path}：文件不存在")) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            says(en=f"{path}: is not UTF-8: {error}", zh=f"{path}：不是 UTF-8 编码：{error}")
        ) from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, place: str) -> Any:
    """Return what the YAML `text` holds, or raise UsageError naming `place` and the line."""
    try:
        return yaml.load(text, Loader=_Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        raise UsageError(
            says(en=f"{place}: is not valid YAML: {error}", zh=f"{place}：不是有效的 YAML：{error}")
        ) from error


def validate(model: type[Model], value: Any, place: str) -> Model:
    """Return `value` as a `model`, or raise UsageError naming `place`, each field, what was met and what is accepted."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = "; ".join(_problem(detail) for detail in error.errors())
        raise UsageError(says(en=f"{place}: {problems}", zh=f"{place}：{problems}")) from error


def _problem(detail: Any) -> str:
    where = ".".join(str(part) for part in detail["loc"]) or "(whole)"
    met = "" if detail["type"] in ("missing", "extra_forbidden") else f", got {detail.get('input')!r:.120}"
    return f"{where}: {detail['msg']}{met}"
