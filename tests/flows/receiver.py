"""A real receiver of logs: sockets on this machine that keep what arrives."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.flows.commands import LIMIT

MARKER = re.compile(r"deiswizard-marker\[1\]: deiswizard-marker ([0-9a-f]{8})")


class Receiver:
    """udp and tcp on one port of an address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._tcp = socket.create_server((address, 0))
        self.port = int(self._tcp.getsockname()[1])
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((address, self.port))
        self.lines: list[str] = []
        for work in (self._take_udp, self._take_tcp):
            threading.Thread(target=work, daemon=True).start()

    def _take_udp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.lines += self._udp.recv(65535).decode("utf-8", "replace").splitlines()

    def _take_tcp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._tcp.accept()
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            connection,
            connection.makefile(errors="replace") as file,
        ):
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
        self._tcp.shutdown(socket.SHUT_RDWR)  # else the thread that accepts keeps it open
        self._tcp.close()
        self._udp.close()


@contextmanager
def receiver(address: str) -> Iterator[Receiver]:
    """One that lives as long as the block."""
    made = Receiver(address)
    try:
        yield made
    finally:
        made.close()
