"""Reading who may read: lines of stat, and the folders above a path."""

from __future__ import annotations

import pytest

from medsec.errors import ProbeError
from medsec.probes.file_access import folders_above, parse_accesses

OUTPUT = (
    "pattern\t/etc/*shadow*\n"
    "640\t0\troot\tshadow\tregular file\t+\t/etc/gshadow\n"
    "644\t0\troot\troot\tregular file\t \t/etc/shadow with\ttab\n"
    "pattern\t/etc/hosts.equiv\n"
)


def test_files_come_by_their_pattern() -> None:
    found = parse_accesses(OUTPUT)
    gshadow, odd = found["/etc/*shadow*"]
    assert (gshadow.mode, gshadow.group, gshadow.access_list) == (0o640, "shadow", True)
    assert odd.path == "/etc/shadow with\ttab"
    assert not odd.access_list
    assert found["/etc/hosts.equiv"] == []


def test_an_odd_answer_is_an_error() -> None:
    with pytest.raises(ProbeError):
        parse_accesses("pattern\t/x\nstat: cannot statx\n")


def test_each_folder_on_the_way_is_named_once() -> None:
    assert folders_above(["/etc/shadow", "/etc/ssh/sshd_config"]) == ["/", "/etc", "/etc/ssh"]
