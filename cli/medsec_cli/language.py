"""Which of the two languages the command line speaks."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from medsec.text import Language, Text

# Turns a bilingual text into the language in force.
Say = Callable[[Text], str]

LANGUAGES: tuple[Language, ...] = ("zh", "en")


def choose(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Language:
    """Return the language: `--lang` if given, else `MEDSEC_LANG`, else the locale's.

    It is needed before the command line is parsed, since help and errors are in it too.
    """
    given = [value for option, value in pairwise(arguments) if option == "--lang"]
    given += [word.removeprefix("--lang=") for word in arguments if word.startswith("--lang=")]
    given.append(environment.get("MEDSEC_LANG", ""))
    for word in given:
        if word in LANGUAGES:
            return word
    locale = next((environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), "")
    return "zh" if locale.lower().startswith("zh") else "en"
