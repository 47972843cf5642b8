"""Files that a script of a role reads on the host and, where they fall short, writes anew in its mind only."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Generator, Sequence
from typing import Any

from pyinfra import host
from pyinfra.api import FactBase, StringCommand, operation
from pyinfra.api.exceptions import FactProcessError

from medsec import resources
from medsec.operations.contents import content


class Settlement(FactBase[dict[str, Any]]):
    """What a role's reading script answers: one JSON object."""

    def command(self, script: str, arguments: Sequence[str] = ()) -> str:
        source = (resources.root() / script).read_bytes()
        return f"echo {base64.b64encode(source).decode()} | base64 -d | sh -s -- {shlex.join(arguments)}"

    def process(self, output: list[str]) -> dict[str, Any]:
        try:
            answer = json.loads("\n".join(output))
        except ValueError as error:
            raise FactProcessError(f"the script answered {output!r}") from error
        if not isinstance(answer, dict):
            raise FactProcessError(f"the script answered {answer!r}, an object was expected")
        return answer


@operation()
def settled(*, script: str, arguments: Sequence[str] = (), mode: str = "0644") -> Generator[StringCommand]:
    """Write the files that fall short, as the script says under "files": path to content.

    + script: the script's path from the project's root: "roles/<family>/files/<name>.sh"; it changes nothing itself
    + arguments: what it is called with
    + mode: of the files written, in octal digits
    """
    answer = host.get_fact(Settlement, script=script, arguments=list(arguments))
    for path, text in answer["files"].items():
        yield from content._inner(dest=path, content=text, mode=mode)
