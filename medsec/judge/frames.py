"""Frames: the commands of many checks in one message to a host, and the stream of answers that comes back."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_GZIP = 16 + zlib.MAX_WBITS
# Shorter blocks, whose codes fit their words better: some bytes less than with more memory.
_MEMORY = 6


@dataclass(frozen=True)
class Question:
    """One command and how long it may take, in seconds."""

    command: str
    seconds: float


@dataclass(frozen=True)
class Lane:
    """What one check asks in one frame, run one after the other: its next command, then what is likely to follow.

    `acts` holds for a command that does something (a login trial) instead of only reading.
    """

    questions: Sequence[Question]
    acts: bool = False


@dataclass(frozen=True)
class Answer:
    """What a host answered to one command. `began` is in seconds of the host's own clock since boot."""

    # None where it was stopped.
    rc: int | None
    out: bytes
    err: bytes
    began: float
    seconds: float
    # One of the streams, or both together, exceeded the limit; they are empty then.
    too_much: bool = False


class Garbled(Exception):
    """The stream is none that the agent writes."""


@cache
def agent() -> str:
    """Return the shell code that runs frames, without its comments."""
    lines = Path(__file__).with_name("agent.sh").read_text(encoding="utf-8").splitlines()
    return "\n".join(text for line in lines if (text := line.strip()) and not text.startswith("#"))


def write_frame(lanes: Sequence[Lane], *, first: int, at_once: int) -> str:
    """Return the shell code of a frame: lanes that only read side by side, and after them those that act.

    + first: the number of the first lane; a number is given once in a session
    + at_once: how many lanes run side by side
    """
    # Like beside like packs best, and the longest first, since it has least in common with what a later frame says. A
    # command that two lanes ask is written once, and run for each.
    commands = {question.command for lane in lanes for question in lane.questions}
    names = {command: f"ms_c{place}" for place, command in enumerate(sorted(commands, key=lambda c: (-len(c), c)))}
    words = "".join(f"{name}={_quoted(command)}\n" for command, name in names.items())
    cases = "".join(
        f"{first + place}) {_lane(first + place, lane, names)};;\n" for place, lane in enumerate(lanes)
    )
    reading = [first + place for place, lane in enumerate(lanes) if not lane.acts]
    acting = [first + place for place, lane in enumerate(lanes) if lane.acts]
    runs = "".join(
        f"ms_frame {at_once} {' '.join(map(str, numbers))}\n" for numbers in (reading, acting) if numbers
    )
    return f"{words}ms_lane() {{ case $1 in\n{cases}esac; }}\n{runs}printf E\n"


def _lane(number: int, lane: Lane, names: Mapping[str, str]) -> str:
    return " && ".join(
        f'ms_run {number} {place} {max(1, -int(-question.seconds // 1))} "${names[question.command]}"'
        for place, question in enumerate(lane.questions)
    )


def _quoted(text: str) -> str:
    """Quote for a shell in fewer characters than `shlex.quote`: scripts are full of quotes."""
    inner = text.replace("'", "'\\''")
    return f"'{inner}'"


class Packer:
    """Packs the frames of one connection: a heading with the length and what unpacks it on the host, then the bytes.

    Later frames go on with the gzip stream of the first one, in whose words most of theirs are (agent.sh: ms_next). A host
    without gzip gets them as they are.
    """

    def __init__(self) -> None:
        self._gzip = True
        # The stream behind the first frame; how long that is so far, packed and not.
        self._begun: tuple[zlib._Compress, int, int] | None = None

    def packed(self, text: str) -> bytes:
        """Return a frame as it goes over the line."""
        data = text.encode("utf-8", "surrogateescape")
        how = "cat"
        if self._gzip and self._begun is not None:
            stream, length, plain = self._begun
            how = f"ms_next {length} {plain + 1}"
            stream = stream.copy()
            data = stream.compress(data) + stream.flush()
        elif self._gzip:
            how = "gzip -dc"
            stream = zlib.compressobj(9, zlib.DEFLATED, _GZIP, _MEMORY)
            first = stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)
            self._begun = stream, len(first), len(data)
            data = first + stream.copy().flush()
        return f"{len(data)} {how}\n".encode() + data

    def refused(self) -> bool:
        """Note that the host cannot unpack what came last; return whether it can be packed in another way."""
        other, self._gzip = self._gzip, False
        return other


class Reader:
    """Takes the agent's bytes as they come and gives the answers in them.

    + most: bytes that the streams of one command may have together
    + in_all: bytes that are taken of one frame; a host cannot make the controller hold more

    After the frame's end `ended` is true; `refused` tells that the host cannot unpack frames.
    """

    def __init__(self, most: int, in_all: int) -> None:
        self.ended = False
        self.refused = False
        self._most = most
        self._left = in_all
        self._pending = b""
        self._member: zlib._Decompress | None = None
        self._plain = bytearray()
        self._raw = False

    def feed(self, data: bytes) -> Iterator[tuple[int, int, Answer]]:
        """Yield (lane, number, answer) for each answer that is whole. Raises Garbled."""
        self._pending += data
        while self._pending and not self.ended:
            if self._member is None and not self._raw:
                self._begin()
            elif self._member is not None:
                yield from self._unpack(self._member)
            else:
                self._take(len(self._pending))
                self._plain += self._pending
                self._pending = b""
                if (found := self._answers()) is None:
                    return
                yield from found
                self._pending, self._plain, self._raw = bytes(self._plain), bytearray(), False

    def _begin(self) -> None:
        kind, self._pending = self._pending[:1], self._pending[1:]
        match kind:
            case b".":
                pass
            case b"G":
                self._member = zlib.decompressobj(_GZIP)
            case b"R":
                self._raw = True
            case b"E":
                self.ended = True
            case b"N":
                self.refused = self.ended = True
            case _:
                raise Garbled(repr(kind + self._pending[:60]))

    def _unpack(self, member: zlib._Decompress) -> Iterator[tuple[int, int, Answer]]:
        try:
            fresh = member.decompress(self._pending, max(1, self._left + 1))
        except zlib.error as error:
            raise Garbled(str(error)) from error
        self._plain += fresh
        self._take(len(fresh))
        self._pending = member.unused_data if member.eof else member.unconsumed_tail
        if not member.eof:
            return
        self._member = None
        found = self._answers()
        if found is None or self._plain:
            raise Garbled("an answer is cut short")
        yield from found

    def _take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise Garbled("more than may be held was sent in one go")

    def _answers(self) -> list[tuple[int, int, Answer]] | None:
        """Return the answers of one sending and take them away from the front; None while it is not whole."""
        heads: list[list[str]] = []
        place = 0
        while True:
            end = self._plain.find(b"\n", place)
            if end < 0:
                return None
            words = self._plain[place:end].decode("ascii", "replace").split()
            place = end + 1
            if words[:1] == ["sizes"]:
                break
            heads.append(words)
        try:
            sizes = [int(word) for word in words[1:]]
            if len(sizes) != 2 * len(heads) or min(sizes, default=0) < 0:
                raise Garbled(f"{len(heads)} answers with {len(sizes)} streams")
            kept = [size if size <= self._most else 0 for size in sizes]
            if len(self._plain) < place + sum(kept):
                return None
            found = []
            for number, (lane, question, code, began, ended) in enumerate(heads):
                streams = []
                for size in kept[2 * number : 2 * number + 2]:
                    streams.append(bytes(self._plain[place : place + size]))
                    place += size
                over = sum(sizes[2 * number : 2 * number + 2]) > self._most
                answer = Answer(
                    rc=None if code == "-" else int(code),
                    out=b"" if over else streams[0],
                    err=b"" if over else streams[1],
                    began=float(began),
                    seconds=max(0.0, round(float(ended) - float(began), 3)),
                    too_much=over,
                )
                found.append((int(lane), int(question), answer))
        except ValueError as error:
            raise Garbled(str(error)) from error
        del self._plain[:place]
        return found
