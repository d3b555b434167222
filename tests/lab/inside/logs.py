"""Stand-ins for deis-logger and deis-logspout: real containers' lines go to a real receiver.

logger is the pretend cluster's, but it dials whatever its key says. logspout attaches to each container
that starts, as the real one does: what was said before that is lost.
"""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from deiswizard.demo.logger import Address, Keys, Logger
from tests.lab.inside.etcd_v2 import Etcd, EtcdDownError

WORDS = Path("/run/lab-logger.log")
"""What ``docker logs deis-logger`` shows on this host."""

WEB_PORT = 8088
DOCKER = "/usr/lib/lab/docker"


class Anywhere(Mapping[str, Address]):
    """Every ``host:port`` is where it says."""

    def __getitem__(self, name: str) -> Address:
        host, _, port = name.rpartition(":")
        return host.strip("[]"), int(port)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def serve_logger(keys: Keys, port: int, speed: float) -> None:
    """Take lines, follow the keys, tell what it says of itself. Serves until killed."""
    logger = Logger(keys, speed, Anywhere())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            app = self.path.partition("?")[0].strip("/")
            body = "".join(f"{line}\n" for line in logger.kept.get(app, ())).encode()
            self.send_response(200 if body else 204)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_DELETE(self) -> None:
            logger.forget(self.path.strip("/"))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    def take() -> None:
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind(("0.0.0.0", port))
        while True:
            logger.take_line(listener.recv(65535).decode("utf-8", "replace"))

    web = ThreadingHTTPServer(("0.0.0.0", WEB_PORT), Handler)
    for work in (take, web.serve_forever):
        threading.Thread(target=work, daemon=True).start()
    while True:
        WORDS.write_text("".join(f"{line}\n" for line in logger.words()))
        time.sleep(0.5)


def serve_logspout() -> None:
    """Pass on what containers say, until killed."""
    listen = [DOCKER, "events", "--filter", "event=start"]
    form = "{{.ID}} {{.Actor.Attributes.name}}"
    while True:
        with subprocess.Popen(
            [*listen, "--format", form], stdout=subprocess.PIPE, text=True
        ) as events:
            assert events.stdout is not None
            for line in events.stdout:
                container, _, name = line.strip().partition(" ")
                threading.Thread(target=_follow, args=(container, name), daemon=True).start()
        time.sleep(1)  # the engine is down, and is looked for again


def _follow(container: str, name: str) -> None:
    attach = [DOCKER, "attach", "--no-stdin", "--sig-proxy=false", container]
    with subprocess.Popen(attach, stdout=subprocess.PIPE, text=True) as attached:
        assert attached.stdout is not None
        for line in attached.stdout:
            _send(f"{time.strftime('%Y-%m-%dT%H:%M:%S')}UTC {name}[1]: {line.rstrip()}")


def _send(line: str) -> None:
    etcd = Etcd()
    try:
        host, port = etcd.value("/deis/logs/host"), etcd.value("/deis/logs/port")
    except EtcdDownError as error:
        print(f"not passed on: {error}", flush=True)
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(line.encode(), (str(host), int(port or 514)))
