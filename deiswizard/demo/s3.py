"""Enough of S3 for boto3 and s3cmd: the pretend store gateway, and what any pretend store answers."""

from __future__ import annotations

import base64
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


STATUS = {"NoSuchBucket": 404, "InvalidRequest": 400, "PermanentRedirect": 301}
MESSAGES = {
    "InvalidRequest": "The authorization mechanism you have provided is not supported. Please use "
    "AWS4-HMAC-SHA256."
}


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


class InParts(bytes):
    """An object that was uploaded in parts."""

    etag: str

    def __new__(cls, parts: list[bytes]) -> InParts:
        """Of its parts, in their order."""
        made = super().__new__(cls, b"".join(parts))
        digests = b"".join(hashlib.md5(part).digest() for part in parts)
        made.etag = f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"
        return made


def etag_of(data: bytes) -> str:
    """The MD5; of an upload in parts that of its parts' MD5s, and their number."""
    return data.etag if isinstance(data, InParts) else hashlib.md5(data).hexdigest()


class PretendStore:
    """The buckets, and uploads in parts that are not complete yet.

    Who reads or writes an object goes through ``gate``.
    """

    def __init__(self, *, is_new: bool = False) -> None:
        self.buckets: dict[str, dict[str, bytes]] = {} if is_new else first_buckets()
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.gate = Gate()


class S3Handler(Handler):
    """Answers for a store. Whose it is, and who may ask it, is a subclass's to say."""

    def __init__(self, store: PretendStore, speed: float, *args: object) -> None:
        self._store = store
        self._speed = speed
        super().__init__(*args)  # type: ignore[arg-type]

    def refusal(self, bucket: str, key: str) -> str:
        """S3's code for who may not ask this; empty: they may."""
        raise NotImplementedError

    def named(self, path: str) -> tuple[str, str]:
        """Bucket and key: path style."""
        bucket, _, key = path.lstrip("/").partition("/")
        return bucket, key

    def respond(self) -> None:
        """One request."""
        body = self.body()
        url = urlsplit(self.path)
        query = {name: v[-1] for name, v in parse_qs(url.query, keep_blank_values=True).items()}
        bucket, key = self.named(unquote(url.path))
        if code := self.refusal(bucket, key):
            self._refuse(STATUS.get(code, 403), code)
        elif not bucket:
            names = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in self._store.buckets)
            self._say(
                f"<ListAllMyBucketsResult><Buckets>{names}</Buckets></ListAllMyBucketsResult>"
            )
        elif not key:
            self._bucket(bucket, query)
        elif bucket not in self._store.buckets:
            self._refuse(404, "NoSuchBucket")
        elif (sent := self.headers.get("Content-MD5")) and sent != _md5(body):
            self._refuse(400, "BadDigest")
        else:
            self._store.gate.wait()
            self._object(bucket, key, query, body)

    def _say(self, text: str) -> None:
        xml = f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()
        self.send(200, xml, {"Content-Type": "application/xml"})

    def _refuse(self, status: int, code: str) -> None:
        words = MESSAGES.get(code, "")
        body = f"<Error><Code>{code}</Code><Message>{words}</Message></Error>".encode()
        self.send(status, body, {"x-amz-bucket-region": "us-west-2"} if status == 301 else {})

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
            f'<ETag>"{etag_of(objects[key])}"</ETag>'
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
                objects[key] = InParts([parts[number] for number in numbers])
                etag = f'<ETag>"{etag_of(objects[key])}"</ETag>'
                self._say(f"<CompleteMultipartUploadResult>{etag}</CompleteMultipartUploadResult>")
            case "PUT":
                objects[key] = body
                self.send(200, b"", {"ETag": f'"{etag_of(body)}"'})
            case "DELETE" if upload:
                uploads.pop(upload, None)
                self.send(204, b"")
            case "DELETE":
                objects.pop(key, None)
                self.send(204, b"")
            case _ if key not in objects:
                self._refuse(404, "NoSuchKey")
            case _:
                self.give(objects[key])

    def begin(self, data: bytes) -> None:
        """The head of an answer with an object."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{etag_of(data)}"')
        self.end_headers()

    def give(self, data: bytes) -> None:
        """An object."""
        self.begin(data)
        if self.command == "HEAD":
            return
        for at in range(0, len(data), PIECE):
            piece = data[at : at + PIECE]
            self.wfile.write(piece)
            time.sleep(len(piece) / BANDWIDTH / self._speed)


class GatewayHandler(S3Handler):
    """The cluster's store gateway: who has not the key of now is refused."""

    def __init__(self, host: PretendHost, *args: object) -> None:
        self._keys = host.cluster.store
        super().__init__(host.cluster.data_store, host.cluster.speed, *args)

    def refusal(self, bucket: str, key: str) -> str:
        """By the access key alone."""
        access = self._keys.value("/deis/store/gateway/accessKey") or ""
        is_known = f"AWS {access}:" in self.headers.get("Authorization", "")
        return "" if is_known else "AccessDenied"
