"""Closes what is open to others, and moves trust files to the quarantine."""

from __future__ import annotations

import shlex

from pyinfra import host
from pyinfra.facts.server import Command
from pyinfra.operations import files, server

from medsec.inventory import Params
from medsec.operations.rendering import render
from medsec.resources import root


def deploy(params: Params) -> None:
    script = render(root() / "roles/files/templates/offenders.sh.j2", params.variables())
    found = [line.split("\t") for line in (host.get_fact(Command, script) or "").splitlines()]
    # Before the modes: with an access list, the group's bits are its mask.
    lists = [path for kind, path, _ in found if kind == "acl"]
    if lists:
        server.packages(name="Have setfacl where an access list is to be taken away", packages=["acl"])
        server.shell(name="Take the access list away", commands=[shlex.join(["setfacl", "-b", "--", *lists])])
    for kind, path, value in found:
        if kind == "mode":
            files.file(name=f"Close the file to others: {path}", path=path, mode=value)
        elif kind == "owner":
            files.file(name=f"Give the file to its owner: {path}", path=path, user=value)
        elif kind == "group":
            files.file(name=f"Give the file to its group: {path}", path=path, group=value)
    trust = [path for kind, path, _ in found if kind == "trust"]
    if trust:
        files.directory(name="Make the quarantine", path=params.quarantine, user="root", group="root", mode="0700")
        server.shell(
            name="Move trust files to the quarantine",
            commands=[shlex.join(["mv", "--backup=numbered", "--", path, _kept(path, params)]) for path in trust],
        )


def _kept(path: str, params: Params) -> str:
    """Return a name in the quarantine that tells where the file lay."""
    return f"{params.quarantine}/{path.replace('/', '%')}"
