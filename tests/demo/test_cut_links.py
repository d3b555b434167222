"""A connection that is cut anywhere: the way in, the probe and its end tell it in words, or try again."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from deiswizard.commands.opening import TerminalAsker
from deiswizard.demo.cluster import PretendCluster
from deiswizard.errors import WizardError
from deiswizard.inventory import Target
from deiswizard.session import Session

CUTS = 16


class Cutter:
    """Passes connections on to a port of this machine, and cuts them all once after so many bytes."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.passed = 0
        self._cut_at: int | None = None
        threading.Thread(target=self._take, daemon=True).start()

    def arm(self, after: int | None) -> None:
        """From now on count again; None: cut nothing."""
        with self._lock:
            self.passed, self._cut_at = 0, after

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                with self._lock:
                    self._open |= {client, server}
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                with self._lock:
                    self.passed += len(data)
                    if self._cut_at is not None and self.passed > self._cut_at:
                        self._cut_at = None
                        self._cut()
                        return
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _cut(self) -> None:
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def close(self) -> None:
        """Nothing of it stays."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            self._cut()


@pytest.fixture
def cutter() -> Iterator[tuple[Cutter, Target]]:
    with PretendCluster.start("three", speed=50) as cluster:
        made = Cutter(cluster.port)
        known = cluster.known_hosts.read_text()
        cluster.known_hosts.write_text(known.replace(f":{cluster.port} ", f":{made.port} "))
        yield made, replace(cluster.target, port=made.port)
        made.close()


def look(target: Target) -> str:
    """Connect, look, and go; how it ended."""
    try:
        session = Session.open(target, TerminalAsker())
    except WizardError as error:
        return error.what
    try:
        session.look()
    except WizardError as error:
        return error.what
    finally:
        session.close()
    return "looked"


def test_a_link_that_is_cut_anywhere_is_told_or_made_again(cutter: tuple[Cutter, Target]) -> None:
    made, target = cutter
    made.arm(None)
    assert look(target) == "looked"
    whole = made.passed
    ends = []
    for number in range(CUTS):
        made.arm(whole * number // CUTS)
        ends.append(look(target))
    assert all(ends), ends
    assert ends.count("looked") > CUTS // 2, ends
    made.arm(None)
    assert look(target) == "looked"
