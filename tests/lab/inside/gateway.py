"""deis-store-gateway: keeps nothing itself, as the real one, and hands everything on to the store."""

from __future__ import annotations

import contextlib
import socket
import threading

CHUNK = 1 << 16


def serve(port: int, behind: str) -> None:
    """Until killed. ``behind`` is ``address:port`` of the store; while it is down, so is the gateway."""
    host, _, number = behind.partition(":")
    with socket.create_server(("0.0.0.0", port)) as listener:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_join, args=(client, (host, int(number))), daemon=True).start()


def _join(client: socket.socket, address: tuple[str, int]) -> None:
    with client, contextlib.suppress(OSError), socket.create_connection(address) as store:
        answers = threading.Thread(target=_hand_on, args=(store, client), daemon=True)
        answers.start()
        _hand_on(client, store)
        answers.join()


def _hand_on(source: socket.socket, target: socket.socket) -> None:
    """Everything, and then that it has ended."""
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
