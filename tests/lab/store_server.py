"""The S3 server behind the lab's store gateway: moto, and a gate before its objects.

``python -m tests.lab.store_server ADDRESS PORT``. ``/gate``, with ``POST`` (a number) and ``DELETE``, closes and opens
the gate; with ``GET`` it says whether somebody waits at it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

from deiswizard.demo.gate import Gate

GATE = "/gate"


class Gated:
    """The application: who asks for an object waits at the gate, who asks for anything else does not."""

    def __init__(self, behind: Any) -> None:
        self._behind = behind
        self._gate = Gate()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == GATE:
            start("200 OK", [("Content-Type", "text/plain")])
            return [self._control(environ)]
        if path.count("/") > 1 and path.partition("/")[2].partition("/")[2]:
            self._gate.wait()
        answer: Iterable[bytes] = self._behind(environ, start)
        return answer

    def _control(self, environ: dict[str, Any]) -> bytes:
        match environ["REQUEST_METHOD"]:
            case "POST":
                length = int(environ["CONTENT_LENGTH"])
                self._gate.close(int(environ["wsgi.input"].read(length)))
            case "DELETE":
                self._gate.open()
        return b"waiting" if self._gate.is_waited_at else b""


def main() -> None:
    """Serve until killed."""
    address, port = sys.argv[1], int(sys.argv[2])
    run_simple(address, port, Gated(DomainDispatcherApplication(create_backend_app)), threaded=True)


if __name__ == "__main__":
    main()
