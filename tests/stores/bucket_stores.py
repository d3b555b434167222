"""A store outside to test with: moto's server, or the demo's. Both as Amazon's (TLS) and as any other's."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import SecretStr

from deiswizard.demo.outside_store import (  # fmt: skip
    ACCESS,
    AMAZON,
    BUCKET,
    OTHER,
    SECRET,
    OutsideStore,
    certified,
)
from deiswizard.stores.bucket import Bucket, Credentials, client
from tests.moto_s3 import moto_s3

KINDS = ("pretend s3", "pretend compatible", "moto s3", "moto compatible")
GATEWAY_BUCKET = "registry"
OTHER_HOST = OTHER.partition(":")[0]
MOTO_HOST = "localhost"
"""In a name that begins with ``s3.`` moto looks for the bucket."""

KEYS = Credentials(access=SecretStr(ACCESS), secret=SecretStr(SECRET))


@dataclass
class Outside:
    """A store with an empty bucket, and the registry's bucket of a gateway as the source of copies."""

    bucket: Bucket
    addresses: dict[str, tuple[str, int]]
    pretend: OutsideStore | None = None
    asked: list[str] = field(default_factory=list)
    """What the target was asked to do by the clients made here, as boto3 names it."""
    opened: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        """The store's name where the bucket is in the path."""
        return OTHER_HOST if self.pretend else MOTO_HOST

    def open_to(self, host: str, port: int) -> socket.socket:
        """A connection as a host's channel would be."""
        self.opened.append(f"{host}:{port}")
        return socket.create_connection(self.addresses[f"{host}:{port}"])

    def client(self, keys: Credentials = KEYS, bucket: Bucket | None = None) -> Any:
        """A new client of the target."""
        made = client(bucket or self.bucket, keys, self.open_to)
        made.meta.events.register(
            "before-call.s3", lambda model, **_: self.asked.append(model.name)
        )
        return made

    @functools.cached_property
    def source(self) -> Any:
        """A client of the gateway."""
        return client(Bucket(kind="compatible", bucket=GATEWAY_BUCKET, host=self.host), KEYS, self.open_to)  # fmt: skip

    @functools.cached_property
    def direct(self) -> Any:
        """A client of the target that is not counted."""
        return client(self.bucket, KEYS, self.open_to)

    def objects(self) -> dict[str, bytes]:
        """All that is in the target's bucket."""
        pages = self.direct.get_paginator("list_objects").paginate(Bucket=self.bucket.bucket)
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return {key: self.direct.get_object(Bucket=self.bucket.bucket, Key=key)["Body"].read() for key in keys}  # fmt: skip

    def put(self, key: str, body: bytes) -> None:
        """Somebody else's object at the target."""
        self.direct.put_object(Bucket=self.bucket.bucket, Key=key, Body=body)

    def push(self, key: str, body: bytes) -> None:
        """An image's object at the source."""
        self.source.put_object(Bucket=GATEWAY_BUCKET, Key=key, Body=body)


@contextlib.contextmanager
def outside(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    """One of KINDS."""
    which, _, kind = name.partition(" ")
    bucket = bucket_of("s3" if kind == "s3" else "compatible")
    if name == "moto compatible":
        bucket = bucket.model_copy(update={"host": MOTO_HOST})
    with _pretend(folder) if which == "pretend" else _moto(folder) as (addresses, pretend):
        monkeypatch.setenv("AWS_CA_BUNDLE", str(folder / "outside-ca.pem"))
        made = Outside(bucket, addresses, pretend)
        yield made


def bucket_of(kind: Literal["s3", "compatible"]) -> Bucket:
    """The bucket of the tests."""
    if kind == "s3":
        return Bucket(bucket=BUCKET, region="eu-west-1", path="/images/of/deis")
    return Bucket(kind="compatible", bucket=BUCKET, host=OTHER_HOST)


@contextlib.contextmanager
def _pretend(folder: Path) -> Iterator[tuple[dict[str, tuple[str, int]], OutsideStore | None]]:
    store = OutsideStore(folder, 1000)
    store.content.buckets[GATEWAY_BUCKET] = {}
    yield store.addresses(), store
    store.close()


@contextlib.contextmanager
def _moto(folder: Path) -> Iterator[tuple[dict[str, tuple[str, int]], OutsideStore | None]]:
    with (
        moto_s3() as (host, port),
        _tls_before(port, certified(folder, folder / "outside-ca.pem")) as secure,
    ):
        addresses = {
            f"{MOTO_HOST}:80": (host, port),
            **{f"{name}:443": (host, secure) for name in (AMAZON, f"{BUCKET}.{AMAZON}")},
        }
        made = Outside(bucket_of("s3"), addresses)
        for bucket in (BUCKET, GATEWAY_BUCKET):
            made.source.create_bucket(Bucket=bucket)
        yield addresses, None
        reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset).close()


@contextlib.contextmanager
def _tls_before(port: int, context: ssl.SSLContext) -> Iterator[int]:
    """TLS for a server that has none: the port of it."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pass_on(reader, other_writer), pass_on(other_reader, writer))

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(take, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield int(server.sockets[0].getsockname()[1])
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    server.close()
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
