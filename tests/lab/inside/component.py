"""A stand-in for a component of Deis that others look up in etcd: it says where it is, every 10 s.

``component NAME PORT [STORE]``. The controller answers whether somebody may register, and follows its settings late. It is well while it reaches
its database, and the registry while it reaches its store, wherever etcd says that these are.
The router is a real nginx (``router.py``), and says nothing of itself. logger takes lines and drains them;
logspout is nowhere in etcd and passes on what containers say (``logs.py``). The database is a real PostgreSQL
(``database.py``); the store gateway hands on to a store elsewhere, which stands after its port (``gateway.py``).
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from deiswizard.demo.controller import Controller
from tests.lab.inside import database, gateway, router
from tests.lab.inside.ending import end_with_children
from tests.lab.inside.etcd_v2 import Etcd, EtcdDownError
from tests.lab.inside.logs import serve_logger, serve_logspout

TTL = 20
SPEED = 4.0
"""Two seconds until a setting is followed instead of eight."""


class LiveKeys:
    """The etcd of this host. A key's age counts from when its value was first seen here."""

    def __init__(self) -> None:
        self._etcd = Etcd()
        self._seen: dict[str, tuple[str | None, float]] = {}

    def value(self, path: str) -> str | None:
        """A key's value, None when there is none; while etcd is away the last one known."""
        try:
            now = self._etcd.value(path)
        except EtcdDownError:
            return self._seen[path][0] if path in self._seen else None
        if path not in self._seen or self._seen[path][0] != now:
            self._seen[path] = (now, time.time() if path in self._seen else 0.0)
        return now

    def changed_at(self, path: str) -> float:
        """When its value changed, in seconds since the epoch."""
        self.value(path)
        return self._seen.get(path, (None, 0.0))[1]


def reaches(keys: LiveKeys, folder: str) -> bool:
    """Whether something answers where ``host`` and ``port`` below a folder say."""
    host, port = (keys.value(f"/deis/{folder}/{name}") for name in ("host", "port"))
    try:
        with socket.create_connection((host or "", int(port or 0)), timeout=3):
            return True
    except OSError:
        return False


def serve_registry(port: int) -> None:
    """Serve until killed."""
    keys = LiveKeys()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_well = self.path == "/v1/_ping" and reaches(keys, "store/gateway")
            self.send_response(200 if is_well else 500)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    ThreadingHTTPServer(("0.0.0.0", port), Handler).serve_forever()


def serve_controller(port: int) -> None:
    """Serve until killed."""
    keys = LiveKeys()
    controller = Controller(keys, SPEED)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            known = self.path == "/v1/auth/register"
            status, body = controller.register() if known else (404, "")
            self.send_response(status)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def do_GET(self) -> None:
            status, body = controller.get(self.path.partition("?")[0])
            if self.path == "/healthz" and not reaches(keys, "database"):
                status = 500
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    ThreadingHTTPServer(("0.0.0.0", port), Handler).serve_forever()


def announce(name: str, port: int) -> None:
    """Say where it is until the process ends. An etcd that is away for a moment does not make it unknown."""
    etcd = Etcd()
    while True:
        pause = TTL / 2
        try:
            etcd.put(f"/deis/{name}/host", os.environ["COREOS_PRIVATE_IPV4"], ttl=TTL)
            etcd.put(f"/deis/{name}/port", str(port), ttl=TTL)
        except EtcdDownError as error:
            print(f"not announced: {error}", flush=True)
            pause = 1
        time.sleep(pause)


def main() -> None:
    """Serve, if it is one that others speak to, and announce."""
    name, port = sys.argv[1], int(sys.argv[2])
    end_with_children()
    if name == "logspout":
        serve_logspout()
    if name == "logs":
        threading.Thread(target=serve_logger, args=(LiveKeys(), port, SPEED), daemon=True).start()
    if name == "router":
        router.run()
    if name == "registry":
        threading.Thread(target=serve_registry, args=(port,), daemon=True).start()
    if name == "controller":
        threading.Thread(target=serve_controller, args=(port,), daemon=True).start()
    if name == "store/gateway":
        behind = sys.argv[3]
        threading.Thread(target=gateway.serve, args=(port, behind), daemon=True).start()
    with database.running(port) if name == "database" else contextlib.nullcontext():
        announce(name, port)


if __name__ == "__main__":
    main()
