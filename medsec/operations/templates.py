"""The one way in which a pyinfra deploy renders a template: to the bytes that Ansible makes of it."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api import StringCommand, operation

from medsec import resources
from medsec.inventory import Params
from medsec.operations.contents import content
from medsec.operations.rendering import render


@operation()
def template(
    *,
    src: str,
    dest: str,
    params: Params,
    mode: str = "0644",
    user: str = "root",
    group: str = "root",
    validate: str | None = None,
) -> Generator[StringCommand]:
    """Make `dest` the rendering of a role's template, as `ansible.builtin.template` does.

    + src: the template's path from the project's root: "roles/<family>/templates/<name>.j2"
    + dest: absolute path; its folder must exist
    + params: the control's parameters; the template sees them as `<control>_<parameter>`
    + mode: octal digits, as in "0644"
    + validate: a command with `%s` for the new file's path; when it fails, `dest` keeps its old content
    """
    text = render(resources.root() / src, params.variables())
    yield from content._inner(  # the operation's own generator, since operations cannot call each other
        dest=dest, content=text, mode=mode, user=user, group=group, validate=validate
    )
