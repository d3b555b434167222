"""The pretend store gateway: enough of S3, path style, for boto3 and s3cmd."""

from __future__ import annotations

import hashlib
import random
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from deiswizard.demo.gate import Gate
from deiswizard.demo.http_base import Handler

if TYPE_CHECKING:
    from deiswizard.demo.host import PretendHost

BANDWIDTH = 4_000_000
"""Bytes a second at speed 1: slow enough to be watched."""

PIECE = 64 * 1024
PAGE = 1000
STAMP = "2026-11-22T22:31:04.000Z"
REGISTRY = "registry/docker/registry/v2/blobs/sha256"


def _bytes(seed: str, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def first_buckets() -> dict[str, dict[str, bytes]]:
    """What a cluster that has run for days has in them."""
    registry = {}
    for number in range(12):
        digest = hashlib.sha256(f"layer {number}".encode()).hexdigest()
        body = _bytes(digest, 120_000 + 45_000 * number)
        registry[f"{REGISTRY}/{digest[:2]}/{digest}/data"] = body
    wal = {}
    for number in range(1, 4):
        base = f"basebackups_005/base_00000001000000000000000{number}_00000040"
        wal[f"{base}/tar_partitions/part_00000000.tar.lzo"] = _bytes(base, 400_000)
        wal[f"{base}_backup_stop_sentinel.json"] = b'{"wal_segment_backup_stop": "1"}'
    for number in range(1, 17):
        name = f"wal_005/0000000100000000000000{number:02X}.lzo"
        wal[name] = _bytes(name, 90_000)
    return {"registry": registry, "db_wal": wal}


class PretendStore:
    """The buckets, and uploads in parts that are not complete yet.

    Who reads or writes an object goes through ``gate``.
    """

    def __init__(self, *, is_new: bool = False) -> None:
        self.buckets: dict[str, dict[str, bytes]] = {} if is_new else first_buckets()
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.gate = Gate()


class S3Handler(Handler):
    """Answers for the gateway of a pretend cluster."""

    def __init__(self, host: PretendHost, *args: object) -> None:
        self._host = host
        self._store = host.cluster.data_store
        super().__init__(*args)  # type: ignore[arg-type]

    def respond(self) -> None:
        """One request; who has not the key of now is refused."""
        body = self.body()
        url = urlsplit(self.path)
        query = {name: v[-1] for name, v in parse_qs(url.query, keep_blank_values=True).items()}
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        access = self._host.cluster.store.value("/deis/store/gateway/accessKey") or ""
        if f"AWS {access}:" not in self.headers.get("Authorization", ""):
            self._refuse(403, "AccessDenied")
        elif not bucket:
            names = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in self._store.buckets)
            self._say(
                f"<ListAllMyBucketsResult><Buckets>{names}</Buckets></ListAllMyBucketsResult>"
            )
        elif not key:
            self._bucket(bucket, query)
        elif bucket not in self._store.buckets:
            self._refuse(404, "NoSuchBucket")
        else:
            self._store.gate.wait()
            self._object(bucket, key, query, body)

    def _say(self, text: str) -> None:
        xml = f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()
        self.send(200, xml, {"Content-Type": "application/xml"})

    def _refuse(self, status: int, code: str) -> None:
        self.send(status, f"<Error><Code>{code}</Code><Message></Message></Error>".encode())

    def _bucket(self, name: str, query: dict[str, str]) -> None:
        if self.command == "PUT":
            self._store.buckets.setdefault(name, {})
            self.send(200, b"")
        elif name not in self._store.buckets:
            self._refuse(404, "NoSuchBucket")
        elif self.command == "GET":
            self._list(name, query)
        else:
            self.send(200, b"")

    def _list(self, name: str, query: dict[str, str]) -> None:
        after, prefix = query.get("marker", ""), query.get("prefix", "")
        objects = self._store.buckets[name]
        keys = sorted(key for key in objects if key > after and key.startswith(prefix))
        shown = keys[: min(PAGE, int(query.get("max-keys", PAGE)))]
        encode = quote if query.get("encoding-type") == "url" else escape
        items = "".join(
            f"<Contents><Key>{encode(key)}</Key><LastModified>{STAMP}</LastModified>"
            f'<ETag>"{hashlib.md5(objects[key]).hexdigest()}"</ETag>'
            f"<Size>{len(objects[key])}</Size></Contents>"
            for key in shown
        )
        more = "true" if len(keys) > len(shown) else "false"
        kind = "<EncodingType>url</EncodingType>" if encode is quote else ""
        self._say(
            f"<ListBucketResult><Name>{name}</Name><Prefix>{escape(prefix)}</Prefix>{kind}"
            f"<Marker>{escape(after)}</Marker><IsTruncated>{more}</IsTruncated>{items}</ListBucketResult>"
        )

    def _object(self, bucket: str, key: str, query: dict[str, str], body: bytes) -> None:
        objects, uploads = self._store.buckets[bucket], self._store.uploads
        upload = query.get("uploadId", "")
        match self.command:
            case "POST" if "uploads" in query:
                name = f"upload-{len(uploads)}"
                uploads[name] = {}
                self._say(
                    f"<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{escape(key)}</Key>"
                    f"<UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
                )
            case "PUT" if upload:
                uploads[upload][int(query["partNumber"])] = body
                self.send(200, b"", {"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
            case "POST" if upload:
                numbers = [int(n) for n in re.findall(rb"<PartNumber>(\d+)</PartNumber>", body)]
                parts = uploads.pop(upload)
                objects[key] = b"".join(parts[number] for number in numbers)
                self._say("<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
            case "PUT":
                objects[key] = body
                self.send(200, b"", {"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
            case "DELETE":
                objects.pop(key, None)
                self.send(204, b"")
            case _ if key not in objects:
                self._refuse(404, "NoSuchKey")
            case _:
                self._give(objects[key])

    def _give(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.md5(data).hexdigest()}"')
        self.end_headers()
        if self.command == "HEAD":
            return
        for at in range(0, len(data), PIECE):
            piece = data[at : at + PIECE]
            self.wfile.write(piece)
            time.sleep(len(piece) / BANDWIDTH / self._host.cluster.speed)
