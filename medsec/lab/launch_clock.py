"""The lab's time source: an NTP server (RFC 5905) that tells this machine's time to the hosts of one lab.

launch_clock.py ADDRESS...    runs until it is killed; a program of its own, started by medsec.lab.timesource
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time

_PORT = 123
_SECONDS_1900_TO_1970 = 2_208_988_800
_CLIENT, _SERVER = 3, 4
# Leap indicator, version and mode; stratum; poll; precision; root delay; root dispersion (both 1 ms); where the time is from.
_HEAD = struct.Struct("!BBbbII4s")
_STRATUM, _PRECISION, _MILLISECOND = 3, -20, 66


def main(addresses: list[str]) -> None:
    sockets = [_listen(address) for address in addresses]
    while True:
        for ready in select.select(sockets, [], [])[0]:
            question, sender = ready.recvfrom(512)
            received = time.time()
            if len(question) >= 48 and question[0] & 7 == _CLIENT:
                ready.sendto(_answer(question, received), sender)


def _listen(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM)
    opened.bind((address, _PORT))
    return opened


def _answer(question: bytes, received: float) -> bytes:
    version = question[0] >> 3 & 7
    head = _HEAD.pack(
        version << 3 | _SERVER, _STRATUM, 6, _PRECISION, _MILLISECOND, _MILLISECOND, bytes([127, 127, 1, 0])
    )
    # Set last, asked (the client's own word), received, sent.
    return head + _stamp(received - 1) + question[40:48] + _stamp(received) + _stamp(time.time())


def _stamp(seconds: float) -> bytes:
    whole = int(seconds)
    return struct.pack("!II", whole + _SECONDS_1900_TO_1970, int((seconds - whole) * 2**32))


if __name__ == "__main__":
    main(sys.argv[1:])
