"""A controller for the lab: real HTTP, follows etcd's key some seconds late, as confd makes it.

Run on the host that fleet says runs it; what it answers is the pretend controller's judgement.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from deiswizard.demo.controller import Controller

PORT = 8000
SPEED = 4.0
"""Two seconds until the key is followed instead of eight."""


class RealKeys:
    """The etcd of this host. A key's age counts from when its value was first seen here."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str | None, float]] = {}

    def value(self, path: str) -> str | None:
        """A key's value, None when there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:2379/v2/keys{path}", timeout=5) as said:
                now: str | None = json.load(said)["node"].get("value")
        except urllib.error.HTTPError:
            now = None
        if path not in self._seen or self._seen[path][0] != now:
            self._seen[path] = (now, time.time() if path in self._seen else 0.0)
        return now

    def changed_at(self, path: str) -> float:
        """When its value changed, in seconds since the epoch."""
        self.value(path)
        return self._seen[path][1]


def main() -> None:
    """Serve until killed."""
    controller = Controller(RealKeys(), SPEED)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            known = self.path == "/v1/auth/register"
            status, body = controller.register() if known else (404, "")
            self.send_response(status)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    ThreadingHTTPServer(("0.0.0.0", PORT), Handler).serve_forever()


if __name__ == "__main__":
    main()
