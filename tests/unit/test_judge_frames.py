"""Frames, run by the shells of this machine: what the agent answers, and what is asked ahead."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from medsec.judge.channel import _BOOT
from medsec.judge.courses import Courses
from medsec.judge.frames import Answer, Garbled, Lane, Packer, Question, Reader, agent, write_frame
from medsec.judge.learning import merged

LIMIT = 100_000
SHELLS = [name for name in ("dash", "bash") if shutil.which(name)]


def ask(
    lanes: list[list[str]], *, shell: str = "sh", packer: Packer | None = None, seconds: float = 20, **more: object
) -> dict[tuple[int, int], Answer]:
    """Run one frame as a host would and return its answers by lane and place."""
    frame = f"ms_most={LIMIT + 1}\n{agent()}\n{write_frame([Lane([Question(c, seconds) for c in lane]) for lane in lanes], first=0, at_once=4)}"
    done = subprocess.run(
        [shell, "-c", _BOOT.strip(), shell, "hello"],
        input=(packer or Packer()).packed(frame),
        capture_output=True,
        check=True,
        **more,
    )
    greeting, _, rest = done.stdout.partition(b"\nhello ")[2].partition(b"\n")
    assert float(greeting) > 0
    reader = Reader(LIMIT, 10 * LIMIT)
    found = {}
    for start in range(0, len(rest), 777):  # as it comes over a line, in pieces
        for lane, number, answer in reader.feed(rest[start : start + 777]):
            found[lane, number] = answer
    assert reader.ended and not reader.refused
    return found


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("gzip", [True, False])
def test_answers_are_what_the_commands_wrote_to_the_byte(shell: str, gzip: bool) -> None:
    packer = Packer()
    assert gzip or packer.refused()
    found = ask(
        [
            ["printf 'a\\000b\\n\\n'; printf '\\326\\320' >&2; exit 3", "echo 'it'\"'\"'s $0 `x`'; exit 124"],
            ["cat; echo end", "kill -9 $$", "echo not reached"],
            ["true"],
        ],
        shell=shell,
        packer=packer,
    )
    assert {place: (a.rc, a.out, a.err) for place, a in found.items()} == {
        (0, 0): (3, b"a\0b\n\n", b"\xd6\xd0"),
        (0, 1): (124, b"it's $0 `x`\n", b""),
        (1, 0): (0, b"end\n", b""),
        (1, 1): (137, b"", b""),
        (2, 0): (0, b"", b""),
    }


def frame_of(number: int, commands: list[str]) -> str:
    return write_frame([Lane([Question(c, 20) for c in commands])], first=number, at_once=4)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("gzip", [True, False])
def test_later_frames_go_on_with_the_stream_of_the_first(shell: str, gzip: bool) -> None:
    """Their bytes are few where the first one said the same already, and each is unpacked to the byte."""
    packer = Packer()
    assert gzip or packer.refused()
    said = "".join(f"{number * 7919 % 10007:x} " for number in range(3000))
    frames = [packer.packed(f"ms_most={LIMIT + 1}\n{agent()}\n{frame_of(0, [f': {said}; echo first'])}")]
    frames += [packer.packed(frame_of(number, [f": {said}; echo 文 {number}"])) for number in (1, 2, 3)]
    if gzip:
        assert max(map(len, frames[1:])) < len(frames[0]) / 10
    done = subprocess.run(
        [shell, "-c", _BOOT.strip(), shell, "hello"], input=b"".join(frames), capture_output=True, check=True
    )
    rest = done.stdout.partition(b"\nhello ")[2].partition(b"\n")[2]
    found = []
    while rest:
        reader = Reader(LIMIT, 10 * LIMIT)
        found += [answer.out.decode() for _, _, answer in reader.feed(rest)]
        assert reader.ended and not reader.refused
        rest = reader._pending
    assert found == ["first\n", "文 1\n", "文 2\n", "文 3\n"]


def test_a_later_frame_that_is_not_whole_is_refused_and_not_run(tmp_path: Path) -> None:
    packer = Packer()
    first = packer.packed(f"ms_most={LIMIT + 1}\n{agent()}\n{frame_of(0, ['echo first'])}")
    heading, _, data = packer.packed(frame_of(1, [f"touch {tmp_path}/run"])).partition(b"\n")
    bad = heading + b"\n" + data[:-8] + bytes(8)  # the checksum
    done = subprocess.run(
        ["sh", "-c", _BOOT.strip(), "sh", "hello"], input=first + bad, capture_output=True, check=True
    )
    assert done.stdout.endswith(b"N")
    assert not (tmp_path / "run").exists()


def test_a_flood_ends_its_command_and_nothing_else() -> None:
    found = ask([["yes"], [f"head -c {LIMIT} /dev/zero"], ["echo here"]])
    assert found[0, 0].too_much and not found[0, 0].out
    assert (found[1, 0].too_much, len(found[1, 0].out)) == (False, LIMIT)
    assert found[2, 0].out == b"here\n"


def test_what_a_command_leaves_running_holds_up_nobody_and_writes_into_no_other_answer() -> None:
    began = time.monotonic()
    found = ask([["(sleep 4; echo late; sleep 9) & echo started", "sleep 4; echo second"]])
    assert [found[0, n].out for n in (0, 1)] == [b"started\n", b"second\n"]
    assert time.monotonic() - began < 12


def test_a_command_that_hangs_is_stopped_and_ends_its_lane() -> None:
    found = ask([["sleep 60", "echo never"], ["echo well"]], seconds=1)
    assert set(found) == {(0, 0), (1, 0)}
    assert found[0, 0].rc == 124
    assert 1 <= found[0, 0].seconds < 10


def test_nothing_stays_behind(tmp_path: Path) -> None:
    before = set(Path("/run").glob("medsec-judge.*"))
    ask([["echo"]])
    assert set(Path("/run").glob("medsec-judge.*")) <= before


def test_a_host_cannot_make_the_controller_hold_more_than_agreed() -> None:
    answers = (
        b"R"
        + b"".join(b"0 %d 0 1 2\n" % n for n in range(40))
        + b"sizes"
        + b" 90000 0" * 40
        + b"\n"
        + b"x" * 90000 * 40
    )
    with pytest.raises(Garbled, match="more than may be held"):
        list(Reader(LIMIT, 10 * LIMIT).feed(answers))
    with pytest.raises(Garbled):
        list(Reader(LIMIT, 10 * LIMIT).feed(b"Welcome to this server!\n"))


def test_only_words_that_two_hosts_used_are_asked_ahead_and_none_that_act() -> None:
    courses = Courses()
    courses.learn("c", ["one", "stat /proc/47", None, "four"])
    assert courses.ahead("c", ["one"]) == []
    courses.learn("c", ["one", "stat /proc/9", None, "four"])
    assert courses.ahead("c", ["one"]) == []
    assert courses.ahead("c", ["one", "stat /proc/5"]) == []
    assert courses.ahead("c", ["one", "stat /proc/5", None]) == ["four"]
    courses.learn("d", ["one", "two", "three"])
    courses.learn("d", ["one", "two", "three"])
    assert courses.ahead("d", ["one"]) == ["two", "three"]
    assert courses.ahead("d", ["other", "else"]) == ["three"]


def test_what_one_host_asked_once_is_not_shipped() -> None:
    assert merged([("a", "b 1", "c")]) == []
    assert merged([("a", "b 1", "c"), ("a", "b 2", "c")]) == [("a", None, "c")]
