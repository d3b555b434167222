"""A port of this machine that leads through a host: for a library that dials by itself (libpq).

Whatever else can take a channel is given one (``http_channels.py``): a listener lets every user of this
machine through, so it is opened for one exchange and closed after it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from deiswizard.cluster.joining import join
from deiswizard.errors import WizardError


@dataclass
class Forwarding:
    """``port`` of 127.0.0.1. ``problem`` is why the last channel was not opened."""

    port: int
    problem: WizardError | None = None
    _joined: list[Any] = field(default_factory=list)


@contextlib.contextmanager
def forwarded(open_channel: Callable[[], Any]) -> Iterator[Forwarding]:
    """Listen as long as the block runs; each connection goes to a channel of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    found = Forwarding(listener.getsockname()[1])

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                channel = open_channel()
            except WizardError as error:
                found.problem = error
                connection.close()
                continue
            found._joined += [connection, channel]
            join(connection, channel)

    thread = threading.Thread(target=accept, name="forwarding", daemon=True)
    thread.start()
    try:
        yield found
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=5)
        for one in found._joined:
            with contextlib.suppress(OSError, EOFError):
                if isinstance(one, socket.socket):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
