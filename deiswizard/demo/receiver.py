"""The receiver of a pretend cluster's logs: ``logs.example.com:514``, udp and tcp, kept in a file."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

NAME = "logs.example.com:514"


class LogReceiver:
    """Listens on loopback and appends what arrives to ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):  # taken: then only tcp is received
            self._udp.bind(self.address)
        for work in (self._take_udp, self._take_tcp):
            threading.Thread(target=work, name="pretend-receiver", daemon=True).start()

    @property
    def address(self) -> tuple[str, int]:
        """Where it really listens."""
        return ("127.0.0.1", int(self._tcp.getsockname()[1]))

    def _keep(self, data: bytes) -> None:
        with self._lock, contextlib.suppress(OSError), self.path.open("ab") as file:
            file.write(data)

    def _take_udp(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._udp.recv(65535):
                self._keep(data)

    def _take_tcp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._tcp.accept()
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(65535):
                self._keep(data)

    def close(self) -> None:
        """Stop listening."""
        for listener in (self._tcp, self._udp):
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
