"""The errors that medsec raises for what its user can mend."""

from __future__ import annotations

from collections.abc import Sequence

from medsec.text import Language, Text, in_language


class MedsecError(Exception):
    """Something the user can mend: the message names the place, the value met, what is accepted, the next step.

    Raise it with a `medsec.text.Text`, so that it reads in both languages.
    """

    def in_language(self, language: Language) -> str:
        """Return the message in `language` ("zh" or "en")."""
        return in_language(self.args[0] if self.args else type(self).__name__, language)


class UsageError(MedsecError):
    """What was asked for cannot be done as asked: an unknown name, a wrong type, a file that does not parse."""


class ProbeError(MedsecError):
    """A host could not be asked: a tool is missing, privilege is lacking, the answer does not parse.

    Never a finding and never a pass: the judge turns it into the verdict `error`.
    """


class Spared(AssertionError):
    """A check's claim holds, but for accounts that are left out of it; the ledger decides whether they may be.

    Raised with the text of the finding; a failure wherever nobody knows better.
    """

    def __init__(self, text: Text, accounts: Sequence[str]) -> None:
        super().__init__(text)
        self.accounts = tuple(accounts)


class HostUnreachable(MedsecError):
    """A host did not answer, refused the key, or showed another host key than the one that is known."""


class LinkFailed(HostUnreachable):
    """The way to a host failed: nothing answered, or what answered broke off. Another try may get through."""
