"""moto's server that knows S3 alone.

It finds the service in the Authorization header as if that were of signature version 4. In one of version 2 it
takes some signatures, those with just so many slashes, for the name of a service, and answers 500.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from moto.moto_server import threaded_moto_server
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.server import ThreadedMotoServer


class OnlyS3(DomainDispatcherApplication):
    def infer_service_region_host(self, environ: dict[str, Any], path: str) -> str:
        return "s3.us-east-1.amazonaws.com"


@contextlib.contextmanager
def moto_s3(address: str = "127.0.0.1") -> Iterator[tuple[str, int]]:
    """Host and port, until the block ends."""
    server = ThreadedMotoServer(ip_address=address, port=0, verbose=False)
    with mock.patch.object(threaded_moto_server, "DomainDispatcherApplication", OnlyS3):
        server.start()
    try:
        yield server.get_host_and_port()
    finally:
        server.stop()
