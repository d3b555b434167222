"""Two connections made one: what comes from either side goes to the other."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

BLOCK = 16384


def join(one: Any, other: Any) -> None:
    """Pass on both ways in threads of their own, until one side has ended; then both are closed."""

    def pass_on(source: Any, target: Any) -> None:
        with contextlib.suppress(OSError, EOFError):
            while data := source.recv(BLOCK):
                target.sendall(data)
        for connection in (one, other):
            # the other thread waits in a socket of which it would not notice that it was closed
            with contextlib.suppress(OSError, EOFError):
                connection.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError, EOFError):
                connection.close()

    for pair in ((one, other), (other, one)):
        threading.Thread(target=pass_on, args=pair, name="join", daemon=True).start()
