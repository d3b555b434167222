"""What stands before the lab's registry: TLS, and the bad days that Docker Hub has.

``python -m tests.lab.registry_proxy ADDRESS FOLDER``: the folder holds ``tls.pem`` and, on a bad day, ``mood.json``.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BEHIND = ("127.0.0.1", 5000)
CHUNK = 1 << 18
HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding")
WORDS = {
    429: {
        "code": "TOOMANYREQUESTS",
        "message": "You have reached your pull rate limit. You may increase the limit by "
        "authenticating and upgrading: https://www.docker.com/increase-rate-limit",
    },
    500: {"code": "UNKNOWN", "message": "unknown error"},
}
"""What Docker Hub says with these, as one of ``errors``."""


def mood(folder: Path) -> dict[str, Any]:
    """Today's: ``status`` to answer with instead of content (0: none), and ``delay`` in seconds."""
    with contextlib.suppress(FileNotFoundError):
        found: dict[str, Any] = json.loads((folder / "mood.json").read_text())
        return found
    return {"status": 0, "delay": 0.0}


class Handler(BaseHTTPRequestHandler):
    """Hands every request on."""

    protocol_version = "HTTP/1.1"
    folder: Path
    scheme: str

    def _hand_on(self) -> None:
        now = mood(self.folder)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if re.search(r"/(manifests|blobs)/", self.path) and self.command in ("GET", "HEAD"):
            time.sleep(now["delay"])
            if now["status"]:
                self._refuse(now["status"])
                return
        behind = http.client.HTTPConnection(*BEHIND, timeout=60)
        behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():  # a client sends Accept several times
            if name.lower() not in HOP_BY_HOP:
                behind.putheader(name, value)
        behind.putheader("X-Forwarded-Proto", self.scheme)
        behind.endheaders(body or None)
        said = behind.getresponse()
        self.send_response_only(said.status)
        has_length = said.headers.get("Content-Length") is not None
        for name, value in said.headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        content = b"" if has_length else said.read()
        if not has_length:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        while chunk := said.read(CHUNK):
            self.wfile.write(chunk)
        behind.close()

    def _refuse(self, status: int) -> None:
        text = json.dumps({"errors": [WORDS[status]]}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _hand_on

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


class Server(ThreadingHTTPServer):
    """Says nothing of clients that go away in the middle."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A killed pull is no error of ours."""


def main() -> None:
    """Serve HTTP on port 80 and HTTPS on 443 until killed."""
    address, folder = sys.argv[1], Path(sys.argv[2])
    plain = Server((address, 80), type("Plain", (Handler,), {"folder": folder, "scheme": "http"}))
    secure = Server(
        (address, 443), type("Secure", (Handler,), {"folder": folder, "scheme": "https"})
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.pem")
    secure.socket = context.wrap_socket(
        secure.socket, server_side=True, do_handshake_on_connect=False
    )
    threading.Thread(target=plain.serve_forever, daemon=True).start()
    secure.serve_forever()


if __name__ == "__main__":
    main()
