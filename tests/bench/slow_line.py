"""A slow line, as a ProxyCommand: `python -S -E slow_line.py HOST PORT MILLISECONDS` delays what passes by half of that each way.

Kernels without netem offer nothing else. What is delayed is the payload of a real connection to the real daemon: bandwidth is
not limited, and the round trip that TCP's own opening would take is slept.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
import time


def carry(source: int, target: int, seconds: float) -> None:
    """Copy `source` to `target` until it ends, each piece `seconds` after it came."""
    pieces: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def read() -> None:
        while True:
            piece = os.read(source, 65536)
            pieces.put((time.monotonic() + seconds, piece))
            if not piece:
                return

    threading.Thread(target=read, daemon=True).start()
    while True:
        due, piece = pieces.get()
        time.sleep(max(0.0, due - time.monotonic()))
        if not piece:
            return
        while piece:
            piece = piece[os.write(target, piece) :]


def main(host: str, port: str, milliseconds: str) -> None:
    """Connect standard input and output to the host, until it hangs up."""
    each_way = float(milliseconds) / 2000
    with socket.create_connection((host, int(port))) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        time.sleep(2 * each_way)
        threading.Thread(target=carry, args=(0, line.fileno(), each_way), daemon=True).start()
        carry(line.fileno(), 1, each_way)


if __name__ == "__main__":
    main(*sys.argv[1:])
