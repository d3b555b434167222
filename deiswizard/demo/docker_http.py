"""The Docker API of a pretend host, as an old engine answers it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from deiswizard.demo.http_base import Handler

if TYPE_CHECKING:
    from deiswizard.demo.host import PretendHost

VERSION = "1.12.6"


class DockerHandler(Handler):
    """Answers for ``host``'s engine."""

    def __init__(self, host: PretendHost, *args: Any) -> None:
        self._engine = host.engine
        self._name = host.name
        super().__init__(*args)

    def respond(self) -> None:
        """One request."""
        self.body()
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        match = re.fullmatch(r"/v(\d+\.\d+)(/.*)", url.path)
        path = match[2] if match else url.path
        if match and _numbers(match[1]) > _numbers(self._engine.api):
            said = f"client is newer than server (client API version: {match[1]}, server API version: {self._engine.api})"
            self.send(400, {"message": said})
            return
        image = re.fullmatch(r"/images/(.+)/json", path)
        if path == "/_ping":
            self.send(200, b"OK", {"Api-Version": self._engine.api, "Ostype": "linux"})
        elif path == "/version":
            self.send(
                200,
                {
                    "Version": VERSION,
                    "ApiVersion": self._engine.api,
                    "MinAPIVersion": "1.12",
                    "Os": "linux",
                    "Arch": "amd64",
                    "GoVersion": "go1.6.4",
                    "GitCommit": "78d1802",
                    "KernelVersion": "4.6.3-coreos",
                },
            )
        elif path == "/info":
            self.send(
                200,
                {
                    "Name": self._name,
                    "Images": len(self._engine.images()),
                    "DockerRootDir": "/var/lib/docker",
                    "Driver": "overlay",
                    "ServerVersion": VERSION,
                    "OSType": "linux",
                },
            )
        elif path == "/images/json":
            self.send(200, self._engine.images())
        elif path == "/containers/json":
            self.send(200, [])
        elif path == "/images/create" and self.command == "POST":
            tag = query.get("tag", "")
            separator = "@" if tag.startswith("sha256:") else ":"
            name = query.get("fromImage", "") + (f"{separator}{tag}" if tag else "")
            self._pull(name)
        elif image and self.command in ("GET", "HEAD"):
            found = self._engine.inspect(unquote(image[1]))
            missing = {"message": f"No such image: {unquote(image[1])}"}
            self.send(200 if found else 404, found or missing)
        elif path.startswith("/images/") and self.command == "DELETE":
            name = unquote(path.removeprefix("/images/"))
            was_there = self._engine.remove(name)
            gone = [{"Untagged": name}]
            self.send(
                200 if was_there else 404,
                gone if was_there else {"message": f"No such image: {name}"},
            )
        else:
            self.send(404, {"message": "page not found"})

    def _pull(self, name: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in self._engine.pull(name):
            data = json.dumps(line).encode() + b"\r\n"
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
