"""The seam for what protects a host while it is being changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from medsec.engines.base import Work
from medsec.text import Text


@dataclass
class Protection:
    """What the guard says of one part of a run.

    `refused`: hosts that could not be protected and are to be left alone, with the reason; known on entering.
    `unfinished`: hosts on which the engine did not come to its end, with the reason; told by the caller before leaving.
    `reverted`: hosts whose change was taken back, with the reason; known on leaving.
    """

    refused: dict[str, Text] = field(default_factory=dict)
    unfinished: dict[str, Text] = field(default_factory=dict)
    reverted: dict[str, Text] = field(default_factory=dict)


class Guard(Protocol):
    """Keeps a way back on hosts while an engine changes them."""

    def hold(self, hosts: Sequence[str]) -> AbstractContextManager[Mapping[str, Text]]:
        """Take `hosts` for this run until the context is left, so that nobody else changes them meanwhile.

        Yields those that could not be taken, with the reason.
        """
        ...

    def around(self, work: Work, *, risky: bool) -> AbstractContextManager[Protection]:
        """Protect the hosts of `work` while the engine is at it.

        Entered before the engine starts: saves what the controls touch and, where the work is `risky`, arms the revert
        on each host. Left after the engine has returned: records what was changed, and after risky work proves on each
        host that people can still get in, and only then disarms; a risky change that did not come to its end is taken back. Left by an exception (an interrupt, an engine that
        broke down): proves and disarms nothing, so that the hosts revert.
        """
        ...


class Unguarded:
    """No protection: for disposable hosts, and where the operator sits at the console."""

    def hold(self, hosts: Sequence[str]) -> AbstractContextManager[Mapping[str, Text]]:
        return nullcontext({})

    def around(self, work: Work, *, risky: bool) -> AbstractContextManager[Protection]:
        return nullcontext(Protection())
