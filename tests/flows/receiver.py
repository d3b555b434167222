"""A real receiver of logs: sockets on this machine that keep what arrives."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.certificates import Certificate
from tests.flows.commands import LIMIT

MARKER = re.compile(r"deiswizard-marker\[1\]: deiswizard-marker ([0-9a-f]{8})")


class Receiver:
    """udp and tcp on one port of an address; with ``shown`` tcp is TLS with that certificate."""

    def __init__(self, address: str, port: int = 0, shown: Certificate | None = None) -> None:
        self.address = address
        self._context: ssl.SSLContext | None = None
        if shown is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            with tempfile.NamedTemporaryFile("w") as pem:
                pem.write(shown.key_pem + shown.pem)
                pem.flush()
                self._context.load_cert_chain(pem.name)
        self._open: set[socket.socket] = set()
        self._tcp = socket.create_server((address, port))
        self.port = int(self._tcp.getsockname()[1])
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((address, self.port))
        self.lines: list[str] = []
        self._is_closed = False
        works = (self._take_udp, self._take_tcp)
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]
        for thread in self._threads:
            thread.start()

    def _take_udp(self) -> None:
        with contextlib.suppress(OSError):
            while not self._is_closed:
                self.lines += self._udp.recv(65535).decode("utf-8", "replace").splitlines()

    def _take_tcp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._tcp.accept()
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            self._open.add(connection)
            with connection, connection.makefile(errors="replace") as file:
                for line in file:
                    self.lines.append(line.rstrip("\n"))

    def words(self) -> list[str]:
        """The words of the markers that arrived."""
        return [match[1] for line in self.lines if (match := MARKER.search(line))]

    def until(self, text: str) -> str:
        """The first line with that text, waited for."""
        deadline = time.monotonic() + LIMIT
        while True:
            found = next((line for line in list(self.lines) if text in line), None)
            if found is not None:
                return found
            assert time.monotonic() < deadline, f"no line with {text!r} in {self.lines}"
            time.sleep(0.05)

    def close(self) -> None:
        self._is_closed = True
        for each in (self._tcp, self._udp, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # else the thread that waits on it keeps it open
        for thread in self._threads:  # one that is in a call yet keeps the port
            thread.join()
        self._tcp.close()
        self._udp.close()


@contextmanager
def receiver(address: str, port: int = 0, shown: Certificate | None = None) -> Iterator[Receiver]:
    """One that lives as long as the block; then its connections end."""
    made = Receiver(address, port, shown)
    try:
        yield made
    finally:
        made.close()
