"""One sentence in the two languages that medsec speaks."""

from __future__ import annotations

from typing import Literal

Language = Literal["zh", "en"]


class Text(str):
    """An English sentence that carries its Chinese twin, so that neither can be forgotten.

    It is a `str` (the English one), so it can be raised, asserted with, logged and compared as usual.
    """

    zh: str

    def __new__(cls, en: str, zh: str) -> Text:
        if not en.strip() or not zh.strip():
            raise ValueError(f"a text needs both languages, got en={en!r}, zh={zh!r}")
        text = super().__new__(cls, en)
        text.zh = zh
        return text

    @property
    def en(self) -> str:
        return str.__str__(self)

    def in_language(self, language: Language) -> str:
        """Return the sentence in `language` ("zh" or "en")."""
        return self.zh if language == "zh" else self.en

    def __reduce__(self) -> tuple[type[Text], tuple[str, str]]:  # lets a Text survive pickling and copying
        return Text, (self.en, self.zh)


def says(*, en: str, zh: str) -> Text:
    """Make a `Text`; both languages are required.

    Use it for every message that a person reads: `assert ok, says(en="...", zh="...")`.
    """
    return Text(en, zh)


def in_language(message: object, language: Language) -> str:
    """Return `message` in `language` where it is a `Text`, and as it stands otherwise."""
    return message.in_language(language) if isinstance(message, Text) else str(message)
