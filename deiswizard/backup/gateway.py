"""The buckets of the cluster's store gateway: listed, copied object by object, written back."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from deiswizard.backup import s3
from deiswizard.backup.copying import FileSink, Job, store_stream
from deiswizard.backup.data import BucketSource, ObjectLine, StoredFile, object_file
from deiswizard.backup.progress import Index, work_folder
from deiswizard.backup.s3 import gateway_client
from deiswizard.cluster.access import ByteSink, ClusterAccess
from deiswizard.errors import LinkError, ServiceError, StepError

KEYS = "/deis/store/gateway"
T = TypeVar("T")
TRIES = 3
PAUSE = 2.0


def client_of(source: BucketSource, access: ClusterAccess) -> Any:
    """A client of the gateway through a host; its keys are read from etcd now.

    Raises:
        StepError: the keys are not there.
        ServiceError, LinkError: etcd does not answer; PreconditionError: boto3 is missing.
    """
    from pydantic import SecretStr

    etcd = access.etcd()
    found = []
    for name in ("accessKey", "secretKey"):
        fact = etcd.get(f"{KEYS}/{name}")
        if fact is None or not fact.text:
            raise StepError(
                f"{KEYS}/{name} is not in etcd, and the store gateway lets nobody in without it",
                do="is deis-store-gateway running? Or leave the buckets out",
            )
        found.append(SecretStr(fact.text))
    host = access.host(source.through)
    return gateway_client(
        lambda: host.open_tcp(source.gateway, source.port), source.gateway, source.port, *found
    )


def bucket_size(source: BucketSource, access: ClusterAccess) -> int:
    """The bytes of all objects. Raises as ``client_of``; ServiceError when it cannot be listed."""
    return sum(size for _, size, _ in s3.listed(client_of(source, access), source.bucket))


def copy_bucket(source: BucketSource, job: Job) -> tuple[StoredFile, int, tuple[str, ...]]:
    """Copy what an earlier attempt has not; the index, all bytes stored, and what was left out.

    The whole list is taken first: in ``db_wal`` a base backup that is in it has its segments in it.
    """
    client = client_of(source, job.access)
    listing = work_folder(job.backup) / f"{source.name}.listing"
    total, count = _spool(client, source, listing, job)
    index = Index(job.backup, source.name)
    gone: list[str] = []
    done = number = stored_bytes = 0
    try:
        for key, size, etag in _spooled(listing):
            job.check()
            known = index.known(key)
            if known is None or not _is_there(known, size, etag, job):
                before = done

                def moved(so_far: int, before: int = before, at: int = number) -> None:
                    job.moved(before + so_far, total, at, count)

                known = _fetched(client, source, (key, size, etag), job, moved)
            if known is None:
                gone.append(key)
            else:
                index.add(known)
                stored_bytes += known.stored_size
            done, number = done + size, number + 1
            job.moved(done, total, number, count)
    finally:
        index.close()
        listing.unlink(missing_ok=True)

    def produce(sink: ByteSink) -> int:
        lines = 0
        with index.path.open("rb") as file:
            for line in file:
                sink(line)
                lines += 1
        return lines

    file = store_stream(job, source.file, produce, moved=False)
    notes: tuple[str, ...] = ()
    if gone:
        notes = (f"{len(gone)} objects were deleted while the rest was copied, such as {gone[0]}",)
    return file, stored_bytes + file.size, notes


def _spool(client: Any, source: BucketSource, path: Path, job: Job) -> tuple[int, int]:
    """The list of objects into a file of this machine; bytes and number of them all."""
    total = count = 0
    try:
        with path.open("w", encoding="utf-8") as file:
            for item in s3.listed(client, source.bucket):
                job.check()
                file.write(f"{json.dumps(item)}\n")
                total, count = total + item[1], count + 1
    except OSError as error:
        raise StepError(f"{path} cannot be written", said=error.strerror or "") from error
    return total, count


def _spooled(path: Path) -> Iterator[tuple[str, int, str]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            key, size, etag = json.loads(line)
            yield key, size, etag


def _is_there(known: ObjectLine, size: int, etag: str, job: Job) -> bool:
    """An earlier attempt has it, it has not changed since, and its file is still there whole."""
    if (known.size, known.etag) != (size, etag):
        return False
    return job.store.size(f"{job.backup}/{known.stored}") == known.stored_size


def _fetched(
    client: Any,
    source: BucketSource,
    item: tuple[str, int, str],
    job: Job,
    moved: Callable[[int], None],
) -> ObjectLine | None:
    """One object; None when it is gone. A link that breaks is made again."""
    return again(lambda: _fetch(client, source, item, job, moved), job.interrupted, job.check)


def again(
    call: Callable[[], T], interrupted: threading.Event, check: Callable[[], None]
) -> T | None:
    """What ``call`` answers about one object; None when that is gone. After a link that broke it is called
    again, at most three times in all; ``check`` raises when nobody wants that any more.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return call()
        except (ServiceError, LinkError) as error:
            if "NoSuchKey" in error.said:
                return None
            if attempt == TRIES:
                raise
            interrupted.wait(PAUSE * attempt)
            check()
    raise AssertionError("the last try returns or raises")


def _fetch(
    client: Any,
    source: BucketSource,
    item: tuple[str, int, str],
    job: Job,
    moved: Callable[[int], None],
) -> ObjectLine:
    key, _, etag = item
    md5 = hashlib.md5(usedforsecurity=False)
    sink = FileSink(job, object_file(source.name, key))
    try:
        for piece in s3.body_of(client, source.bucket, key):
            md5.update(piece)
            sink.write(piece)
            moved(sink.plain_size)
        if len(etag) == 32 and etag != md5.hexdigest():
            raise ServiceError(f"{key} of the bucket {source.bucket} came with other bytes than listed")  # fmt: skip
        file = sink.commit()
    except BaseException:
        sink.abort()
        raise
    return ObjectLine(
        key=key,
        size=file.plain_size,
        etag=etag,
        stored=file.name,
        stored_size=file.size,
        sha256=file.plain_sha256,
        stored_sha256=file.sha256,
    )
