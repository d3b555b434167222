"""Does a port take a connection? Tried from this machine, many at once."""

from __future__ import annotations

import errno
import selectors
import shlex
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

Place = tuple[str, int]
AT_ONCE = 400
FROM_A_HOST = 32
SECONDS = 3.0
"""A port that has not taken a connection by then is closed: what is dropped never answers."""


def shown_tries(places: Sequence[Place], seconds: float = SECONDS) -> str:
    """The command that tries the same from a shell."""
    pairs = " ".join(f"{address}/{port}" for address, port in places)
    each = f"timeout {seconds:.0f} bash -c '</dev/tcp/{{}}' 2>/dev/null && echo {{}} open || echo {{}} closed"
    return f"printf '%s\\n' {pairs} | xargs -P 8 -I{{}} sh -c {shlex.quote(each)}"


def told(places: Sequence[Place], found: Sequence[bool]) -> str:
    """One line for each, as the command prints it."""
    return "".join(
        f"{address}/{port} {'open' if is_open else 'closed'}\n"
        for (address, port), is_open in zip(places, found, strict=True)
    )


def try_from_here(places: Sequence[Place], seconds: float = SECONDS) -> tuple[bool, ...]:
    """Some hundred at once; nothing is sent on what opens."""
    found: list[bool] = []
    for start in range(0, len(places), AT_ONCE):
        found += _try(places[start : start + AT_ONCE], seconds)
    return tuple(found)


class Trier(Protocol):
    """A host that tries a port (``cluster/host.py``)."""

    def takes_connection(self, address: str, port: int, seconds: float) -> bool:
        """Whether it takes a connection within that time."""
        ...


def try_from(host: Trier, places: Sequence[Place]) -> tuple[bool, ...]:
    """Side by side over the host's connection; raises what ``takes_connection`` does."""
    with ThreadPoolExecutor(FROM_A_HOST, "tries") as pool:
        return tuple(
            pool.map(lambda place: host.takes_connection(place[0], place[1], SECONDS), places)
        )


def _try(places: Sequence[Place], seconds: float) -> list[bool]:
    """What has answered is seen also after the time, for this machine may have been busy meanwhile."""
    found = [False] * len(places)
    with selectors.DefaultSelector() as selector:
        for number, (address, port) in enumerate(places):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            connection = socket.socket(family, socket.SOCK_STREAM)
            connection.setblocking(False)
            code = connection.connect_ex((address, port))
            if code in (0, errno.EINPROGRESS):
                selector.register(connection, selectors.EVENT_WRITE, number)
            else:
                connection.close()
        deadline = time.monotonic() + seconds
        is_last = False
        while selector.get_map() and not is_last:
            left = deadline - time.monotonic()
            is_last = left <= 0
            for key, _ in selector.select(max(0.0, left)):
                connection = _socket(key)
                found[key.data] = not connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                selector.unregister(connection)
                connection.close()
        for key in list((selector.get_map() or {}).values()):
            _socket(key).close()
    return found


def _socket(key: selectors.SelectorKey) -> socket.socket:
    assert isinstance(key.fileobj, socket.socket)
    return key.fileobj
