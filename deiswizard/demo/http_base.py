"""HTTP spoken on any socket-like thing: a real connection or an SSH channel."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Keeps connections alive and logs nothing. Subclasses answer in ``respond``."""

    protocol_version = "HTTP/1.1"
    timeout = None

    def setup(self) -> None:
        """Take any object with makefile and sendall for the connection."""
        self.connection = self.request
        self.rfile = self.connection.makefile("rb")
        self.wfile = _Writer(self.connection)  # type: ignore[assignment]

    def finish(self) -> None:
        """Close what ``setup`` opened."""
        with contextlib.suppress(Exception):
            self.rfile.close()

    def log_message(self, format: str, *args: Any) -> None:
        """No log."""

    def body(self) -> bytes:
        """What the client sent along."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        """Answer with JSON (or bytes as they are)."""
        is_raw = isinstance(body, bytes)
        data = body if is_raw else (json.dumps(body) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if is_raw else "application/json")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0" if status == 204 else str(len(data)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(data)

    def respond(self) -> None:
        """Answer one request."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Any method."""
        with contextlib.suppress(BrokenPipeError, ConnectionError, OSError):
            self.respond()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET


class _Writer:
    """The writing side of a socket-like object."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.closed = False

    def write(self, data: bytes) -> int:
        self._connection.sendall(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""


def serve_on(make: Callable[..., Handler], connection: Any, *, waits: bool = False) -> None:
    """Speak HTTP on one connection until the client leaves, in a thread of its own unless ``waits``."""

    def work() -> None:
        with contextlib.suppress(Exception):
            make(connection, ("pretend", 0), None)
        with contextlib.suppress(Exception):
            connection.close()

    if waits:
        work()
    else:
        threading.Thread(target=work, name="pretend-http", daemon=True).start()


class _Server(ThreadingHTTPServer):
    """The handshake, where there is one, is made in the connection's own thread."""

    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.tls is not None:
            try:
                request = self.tls.wrap_socket(request, server_side=True)
            except OSError:
                return
        super().finish_request(request, client_address)


class LoopbackServer:
    """The same handler on a real port of 127.0.0.1, with TLS where a context is given."""

    def __init__(self, make: Callable[..., Handler], tls: ssl.SSLContext | None = None) -> None:
        self._server = _Server(("127.0.0.1", 0), make)
        self._server.tls = tls
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
