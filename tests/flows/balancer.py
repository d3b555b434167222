"""A load balancer that ends TLS, as a listener of HTTPS on a load balancer does it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deiswizard.cluster.joining import join
from tests.certificates import Certificate

Dial = Callable[[], Any]
"""A connection to port 80 of some router."""


class Balancer:
    """Listens at ``address``. ``says_scheme``: it tells the routers how its clients came."""

    def __init__(
        self, address: tuple[str, int], shown: Certificate, chain: str, dial: Dial
    ) -> None:
        self.says_scheme = True
        self._dial = dial
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            pem = Path(folder) / "pem"
            pem.write_text(shown.key_pem + shown.pem + chain)
            self._context.load_cert_chain(pem)
        self._listener = socket.create_server(address)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(connection,), daemon=True).start()

    def _pass_on(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client = self._context.wrap_socket(connection, server_side=True)
            head = b""
            while b"\r\n" not in head:
                if not (data := client.recv(4096)):
                    client.close()
                    return
                head += data
            first, _, rest = head.partition(b"\r\n")
            said = b"X-Forwarded-Proto: https\r\n" if self.says_scheme else b""
            router = self._dial()
            router.sendall(first + b"\r\n" + said + rest)
            join(client, router)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def balancer(
    address: tuple[str, int], shown: Certificate, chain: str, dial: Dial
) -> Iterator[Balancer]:
    """One that lives as long as the block."""
    made = Balancer(address, shown, chain, dial)
    try:
        yield made
    finally:
        made.close()
