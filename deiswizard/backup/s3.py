"""S3 by boto3: the operator's own bucket, and the cluster's store gateway over a channel."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import SecretStr

from deiswizard.backup.data import MANIFEST, Place
from deiswizard.cluster.web import OpenTcp
from deiswizard.errors import PreconditionError, ServiceError, StepError, WizardError

PART = 8 * 1024 * 1024
LARGE_PART = 32 * 1024 * 1024
SMALL_PARTS = 2000
"""S3 takes 10,000 parts: 272 GB with these."""

CHUNK = 1024 * 1024
CHECKSUMS = "when_required"
"""An old gateway knows none of the checksums that newer clients add by themselves."""


def boto() -> Any:
    """boto3. Raises PreconditionError when it is not installed."""
    try:
        import boto3
    except ImportError as error:
        raise PreconditionError(
            "boto3 is not installed, and S3 needs it",
            do="pip install 'deiswizard[s3]', or leave the buckets out",
        ) from error
    return boto3


@functools.cache
def _loader(folder: str | None) -> Any:
    """What botocore knows of AWS, from its own files and those of ``folder``: read and parsed once, not
    anew by each session.
    """
    from botocore.loaders import create_loader

    return create_loader(folder)


def session(profile: str | None = None) -> Any:
    """A session of boto3 of its own. Raises PreconditionError when boto3 is not installed."""
    boto3 = boto()
    from botocore.session import Session

    core = Session(profile=profile)
    core.register_component("data_loader", _loader(core.get_config_variable("data_path")))
    return boto3.session.Session(botocore_session=core)


def gateway_client(
    open_channel: Callable[[], Any], host: str, port: int, access: SecretStr, secret: SecretStr
) -> Any:
    """A client of the store gateway, whose connections are channels.

    Path style, because a bucket is named ``db_wal``. Raises as ``old_client``.
    """
    return old_client(f"http://{host}:{port}", access, secret, lambda _host, _port: open_channel())


def old_client(
    url: str,
    access: SecretStr,
    secret: SecretStr,
    open_to: OpenTcp,
    *,
    token: SecretStr | None = None,
    region: str = "",
    style: Literal["path", "virtual"] = "path",
) -> Any:
    """A client as Deis's components are: signature version 2, which is all that their boto 2 and every
    gateway that Deis ran know (deis-facts 3 and 6). Its connections are channels from ``open_to``.

    Raises PreconditionError when boto3 is not installed.
    """
    from botocore.config import Config

    from deiswizard.cluster.http_channels import over_host

    client = session().client(
        "s3",
        endpoint_url=url,
        region_name=region or "us-east-1",
        aws_access_key_id=access.get_secret_value(),
        aws_secret_access_key=secret.get_secret_value(),
        aws_session_token=token.get_secret_value() if token else None,
        config=Config(
            s3={"addressing_style": style},
            signature_version="s3",
            retries={"total_max_attempts": 1},
            proxies={},
            read_timeout=120,
            request_checksum_calculation=CHECKSUMS,
            response_checksum_validation=CHECKSUMS,
            max_pool_connections=1,
        ),
    )
    over_host(client._endpoint.http_session._manager, open_to)
    return client


def place_client(place: Place) -> Any:
    """A client of the operator's own bucket, with the credentials that the AWS tools would use."""
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    try:
        found = session(place.profile or None)
        return found.client(
            "s3",
            endpoint_url=place.endpoint or None,
            region_name=found.region_name or "us-east-1",
            config=Config(
                s3={"addressing_style": "path"} if place.endpoint else {},
                request_checksum_calculation=CHECKSUMS,
                response_checksum_validation=CHECKSUMS,
            ),
        )
    except (BotoCoreError, ValueError) as error:
        raise StepError(
            f"{place.text} cannot be used", said=str(error), do="see the AWS configuration"
        ) from error


@contextlib.contextmanager
def said(what: str) -> Iterator[None]:
    """boto3's errors as ours: ``what`` could not be done."""
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        about = error.response.get("Error", {})
        words = f"{about.get('Code') or ''}: {about.get('Message') or ''}".strip(": ")
        raise ServiceError(what, said=words) from error
    except (BotoCoreError, HTTPClientError, HTTPError, OSError, EOFError) as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, WizardError):
            raise cause from error
        raise ServiceError(what, said=f"{type(error).__name__}: {error}") from error


def _etag(answer: Mapping[str, Any]) -> str:
    return str(answer.get("ETag", "")).strip('"')


def listed(client: Any, bucket: str, prefix: str = "") -> Iterator[tuple[str, int, str]]:
    """Key, size and etag of every object, page by page. Raises ServiceError."""
    with said(f"the bucket {bucket} cannot be listed"):
        for page in client.get_paginator("list_objects").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", ()):
                yield str(item["Key"]), int(item["Size"]), _etag(item)


def body_of(client: Any, bucket: str, key: str) -> Iterator[bytes]:
    """An object's bytes, a MiB at a time. Raises ServiceError."""
    with said(f"{key} of the bucket {bucket} cannot be read"):
        answer = client.get_object(Bucket=bucket, Key=key)
        with contextlib.closing(answer["Body"]) as body:
            length, got = int(answer["ContentLength"]), 0
            while piece := body.read(CHUNK):
                got += len(piece)
                yield piece
    if got != length:
        raise ServiceError(f"{key} of the bucket {bucket} ended after {got} of {length} bytes")


def _md5(data: bytes) -> str:
    """What the store compares with what it got."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


class Upload:
    """An object being written: small ones at once, longer ones in parts. Raises ServiceError.

    ``extra`` are parameters of boto3's ``put_object`` and ``create_multipart_upload`` besides. ``etag`` is
    what the store calls the content, once it is whole.
    """

    def __init__(
        self, client: Any, bucket: str, key: str, extra: Mapping[str, str] | None = None
    ) -> None:
        self._client, self._bucket, self._key = client, bucket, key
        self._extra = dict(extra or {})
        self._held = bytearray()
        self._upload = ""
        self._parts: list[dict[str, Any]] = []
        self.etag = ""

    @property
    def _name(self) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._key}

    def _part_size(self) -> int:
        return PART if len(self._parts) < SMALL_PARTS else LARGE_PART

    def write(self, data: bytes) -> None:
        """The next bytes."""
        self._held += data
        while len(self._held) >= self._part_size():
            size = self._part_size()
            self._send(bytes(self._held[:size]))
            del self._held[:size]

    def _send(self, part: bytes) -> None:
        number = len(self._parts) + 1
        with said(f"s3://{self._bucket}/{self._key} cannot be written"):
            if not self._upload:
                begun = self._client.create_multipart_upload(**self._name, **self._extra)
                self._upload = str(begun["UploadId"])
            done = self._client.upload_part(
                **self._name,
                UploadId=self._upload,
                PartNumber=number,
                Body=part,
                ContentMD5=_md5(part),
            )
        self._parts.append({"ETag": done["ETag"], "PartNumber": number})

    def commit(self) -> None:
        """It is whole."""
        if not self._upload:
            with said(f"s3://{self._bucket}/{self._key} cannot be written"):
                data = bytes(self._held)
                done = self._client.put_object(
                    **self._name, **self._extra, Body=data, ContentMD5=_md5(data)
                )
            self.etag = _etag(done)
            return
        if self._held:
            self._send(bytes(self._held))
        with said(f"s3://{self._bucket}/{self._key} cannot be written"):
            done = self._client.complete_multipart_upload(
                **self._name, UploadId=self._upload, MultipartUpload={"Parts": self._parts}
            )
        self.etag = _etag(done)
        self._upload = ""

    def abort(self) -> None:
        """Nothing of it stays, as far as the store can be reached."""
        if self._upload:
            with contextlib.suppress(ServiceError), said(""):
                self._client.abort_multipart_upload(**self._name, UploadId=self._upload)


def put(client: Any, bucket: str, key: str, pieces: Iterable[bytes]) -> None:
    """Write an object from a stream. Raises ServiceError."""
    upload = Upload(client, bucket, key)
    try:
        for piece in pieces:
            upload.write(piece)
        upload.commit()
    except BaseException:
        upload.abort()
        raise


class BucketStore:
    """A bucket of the operator's own, below a prefix. Implements ``places.Store``."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._client = place_client(place)

    def _key(self, name: str) -> str:
        return "/".join(part for part in (self.place.prefix.strip("/"), name) if part)

    def prepare(self) -> None:
        """As ``places.Store.prepare``. The bucket itself is the operator's to make."""
        key = self._key(".deiswizard-can-write")
        with said(f"{self.place.text} cannot be written to"):
            self._client.put_object(Bucket=self.place.bucket, Key=key, Body=b"")
            self._client.delete_object(Bucket=self.place.bucket, Key=key)

    def free(self) -> int | None:
        """A bucket has no limit that could be asked."""
        return None

    def create(self, name: str) -> Upload:
        """As ``places.Store.create``."""
        return Upload(self._client, self.place.bucket, self._key(name))

    def size(self, name: str) -> int | None:
        """As ``places.Store.size``."""
        from botocore.exceptions import ClientError

        with said(f"{self.place.file(name)} cannot be looked at"):
            try:
                head = self._client.head_object(Bucket=self.place.bucket, Key=self._key(name))
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                    return None
                raise
            return int(head["ContentLength"])

    def read(self, name: str) -> Iterator[bytes]:
        """As ``places.Store.read``."""
        return body_of(self._client, self.place.bucket, self._key(name))

    def backups(self) -> tuple[str, ...]:
        """As ``places.Store.backups``."""
        root = self._key("")
        prefix = f"{root}/" if root else ""
        found = []
        with said(f"{self.place.text} cannot be listed"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.place.bucket, Prefix=prefix, Delimiter="/"
            )
            folders = [str(item["Prefix"]) for page in pages for item in page.get("CommonPrefixes", ())]  # fmt: skip
        for folder in folders:
            name = folder.removeprefix(prefix).strip("/")
            if self.size(f"{name}/{MANIFEST}") is not None:
                found.append(name)
        return tuple(sorted(found))

    def remove(self, backup: str) -> None:
        """As ``places.Store.remove``."""
        with said(f"{self.place.file(backup)} cannot be removed"):
            bucket = self.place.bucket
            self._client.delete_object(Bucket=bucket, Key=self._key(f"{backup}/{MANIFEST}"))
            for key, _, _ in list(listed(self._client, bucket, f"{self._key(backup)}/")):
                self._client.delete_object(Bucket=bucket, Key=key)
