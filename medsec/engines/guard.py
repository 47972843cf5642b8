"""The seam for what protects a host while its way in is being changed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from medsec.engines.base import Work


class Guard(Protocol):
    """Protects hosts during work that may lock people out."""

    def around(self, work: Work) -> AbstractContextManager[Mapping[str, str]]:
        """Protect the hosts of `work`, all of whose controls have `risk: access`, until the context is left.

        Entered before the engine starts: saves what the controls touch and arms the revert on each host. What it
        yields names the hosts that could not be protected, with the reason; these are then left alone. Left after
        the engine has returned: proves on each host that people can still get in, and only then disarms. Left by an
        exception (an interrupt, an engine that broke down): proves and disarms nothing, so that the hosts revert.
        """
        ...


class Unguarded:
    """No protection: for disposable hosts, and where the operator sits at the console."""

    def around(self, work: Work) -> AbstractContextManager[Mapping[str, str]]:
        return nullcontext({})
