"""Copies one source to a store, piece by piece, with checksums while it flows."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deiswizard.backup.content import Tail
from deiswizard.backup.data import (
    SEALED,
    BucketSource,
    DatabaseSource,
    EtcdSource,
    Part,
    Source,
    StoredFile,
    VolumeSource,
)
from deiswizard.backup.places import Store
from deiswizard.cluster.access import ByteSink, ClusterAccess, CommandResult
from deiswizard.errors import CancelledError, StepError

if TYPE_CHECKING:
    from deiswizard.backup.sealing import Sealer

DUMP = "docker exec deis-database sudo -u postgres pg_dumpall"
NO_MOUNT = 9
HARMLESS = ("file changed as we read it", "file removed before we read it", "socket ignored")
"""What tar says with exit status 1 about files that are in use (deis-facts 6)."""


@dataclass
class Job:
    """What the copying of a source needs. ``moved`` is called with bytes and things done so far, and
    how many of each there will be as far as is known.
    """

    access: ClusterAccess
    store: Store
    backup: str
    sealer: Sealer | None
    interrupted: threading.Event
    moved: Callable[[int, int | None, int, int], None]
    expected: int | None = None

    def check(self) -> None:
        """Raises CancelledError when the operator asked to stop."""
        if self.interrupted.is_set():
            raise CancelledError("stopped while copying", state="what is whole stays")

    def named(self, name: str) -> str:
        """A file's name in the backup."""
        return f"{name}{SEALED}" if self.sealer else name


class FileSink:
    """A file of a backup that is being written: sealed, counted and digested on the way."""

    def __init__(self, job: Job, name: str) -> None:
        self._job = job
        self._name = job.named(name)
        self._plain, self._stored = hashlib.sha256(), hashlib.sha256()
        self.plain_size = self._size = 0
        self._encryptor = job.sealer.encryptor() if job.sealer else None
        self._writer = job.store.create(f"{job.backup}/{self._name}")
        if self._encryptor is not None:
            self._put(self._encryptor.begin())

    def _put(self, data: bytes) -> None:
        self._stored.update(data)
        self._size += len(data)
        self._writer.write(data)

    def write(self, data: bytes) -> None:
        """The next bytes of the source."""
        self._job.check()
        self._plain.update(data)
        self.plain_size += len(data)
        self._put(self._encryptor.feed(data) if self._encryptor else data)

    def commit(self, count: int = 0) -> StoredFile:
        """It is whole."""
        if self._encryptor is not None:
            self._put(self._encryptor.end())
        self._writer.commit()
        return StoredFile(
            name=self._name,
            size=self._size,
            sha256=self._stored.hexdigest(),
            plain_size=self.plain_size,
            plain_sha256=self._plain.hexdigest(),
            count=count,
        )

    def abort(self) -> None:
        """Nothing of it stays."""
        self._writer.abort()


def store_stream(
    job: Job, name: str, produce: Callable[[ByteSink], int], moved: bool = True
) -> StoredFile:
    """Store what ``produce`` gives to the function that it is handed; it answers a count."""
    sink = FileSink(job, name)

    def take(data: bytes) -> None:
        sink.write(data)
        if moved:
            job.moved(sink.plain_size, job.expected, 0, 0)

    try:
        return sink.commit(produce(take))
    except BaseException:
        sink.abort()
        raise


def copy(source: Source, job: Job) -> Part:
    """Copy one source. Raises StepError, LinkError, ServiceError, CancelledError."""
    began = time.monotonic()
    left_out: tuple[str, ...] = ()
    match source:
        case DatabaseSource():
            file = _database(source, job)
            total = file.size
        case VolumeSource():
            file, left_out = _volume(source, job)
            total = file.size
        case EtcdSource():
            file, left_out = _etcd(source, job)
            total = file.size
        case BucketSource():
            from deiswizard.backup.gateway import copy_bucket

            file, total, left_out = copy_bucket(source, job)
    seconds = time.monotonic() - began
    return Part(source=source, file=file, bytes=total, left_out=left_out, seconds=seconds)


def _must_have_ended(result: CommandResult, what: str) -> None:
    """Raises StepError when the command did not come to its end by itself."""
    if result.code is None:
        raise StepError(f"{what} was cut off", said=result.why, do="try again: it begins anew")


def _last_line(result: CommandResult) -> str:
    lines = [line for line in result.err.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit status {result.code}"


def _database(source: DatabaseSource, job: Job) -> StoredFile:
    """The redirection is ours: nothing is written on the host, nor in the container (deis-facts 6)."""
    tail = Tail()

    def produce(sink: ByteSink) -> int:
        def take(data: bytes) -> None:
            tail.feed(data)
            sink(data)

        result = job.access.host(source.host).stream(DUMP, on_bytes=take, cancel=job.interrupted)
        _must_have_ended(result, "the dump")
        if result.code:
            raise StepError(
                f"pg_dumpall failed on {source.host}",
                said=_last_line(result),
                do="look at the database: docker logs deis-database",
            )
        if not tail.is_whole_dump:
            raise StepError(
                "the dump has no end, though pg_dumpall said nothing",
                do="look at the database: docker logs deis-database",
            )
        return 0

    return store_stream(job, source.file, produce)


def mount_check(path: str) -> str:
    """A command that ends with 0 when ``path`` is a real Ceph mount: else an empty folder is there."""
    return f"grep -qE '^[^ ]+ {path} (fuse\\.)?ceph' /proc/mounts"


def _volume(source: VolumeSource, job: Job) -> tuple[StoredFile, tuple[str, ...]]:
    folder, _, name = source.path.rpartition("/")
    command = f"{mount_check(source.path)} || exit {NO_MOUNT}; tar -cf - -C {folder} {name}"
    notes: list[str] = []

    def produce(sink: ByteSink) -> int:
        result = job.access.host(source.host).stream(
            command, on_bytes=sink, sudo=True, cancel=job.interrupted
        )
        _must_have_ended(result, "the tar file")
        if result.code == NO_MOUNT:
            raise StepError(
                f"{source.path} on {source.host} is no Ceph mount: an empty folder would be copied",
                do="look at deis-store-volume on that host, or leave the volume out",
            )
        words = [line for line in result.err.splitlines() if line.strip()]
        odd = [line for line in words if not any(known in line for known in HARMLESS)]
        odd = [line for line in odd if "Removing leading" not in line]
        if result.code == 1 and words and not odd:
            notes.append(f"{len(words)} files changed while they were read: {words[0].strip()}")
        elif result.code:
            raise StepError(f"tar failed on {source.host}", said=_last_line(result))
        return 0

    return store_stream(job, source.file, produce), tuple(notes)


def _etcd(source: EtcdSource, job: Job) -> tuple[StoredFile, tuple[str, ...]]:
    """One read of each tree, so that the keys belong together."""
    etcd = job.access.etcd()
    lines: list[bytes] = []
    expiring: list[str] = []
    index = 0
    for prefix in source.prefixes:
        nodes, index = etcd.nodes(prefix)
        gone = ""
        for node in nodes:
            if node.ttl is not None or (gone and node.key.startswith(gone)):
                expiring.append(node.key)
                gone = f"{node.key}/" if node.value is None and node.ttl is not None else gone
                continue
            about = {"key": node.key}
            value = {"dir": True} if node.value is None else {"value": node.value}
            lines.append(json.dumps({**about, **value}).encode() + b"\n")
    if not lines:
        raise StepError(
            f"etcd has nothing below {', '.join(source.prefixes)}", do="is this a Deis cluster?"
        )

    def produce(sink: ByteSink) -> int:
        head = {"export": "etcd", "version": 1, "index": index, "nodes": len(lines)}
        sink(json.dumps(head).encode() + b"\n")
        for line in lines:
            sink(line)
        return len(lines)

    notes: tuple[str, ...] = ()
    if expiring:
        notes = (f"{len(expiring)} keys that expire by themselves, such as {expiring[0]}",)
    return store_stream(job, source.file, produce), notes


def measure(source: Source, access: ClusterAccess) -> int | None:
    """About how many bytes a source is; None: it cannot be told. Raises as ``copy``."""
    match source:
        case DatabaseSource():
            query = "select sum(pg_database_size(datname)) from pg_database"
            ask = f'docker exec deis-database sudo -u postgres psql -tAc "{query}"'
            said = access.host(source.host).run(ask, timeout=60).out.strip()
            return int(said) if said.isdecimal() else None
        case VolumeSource():
            result = access.host(source.host).run(f"du -sb {source.path}", sudo=True, timeout=300)
            word = result.out.split()[:1]
            return int(word[0]) if word and word[0].isdecimal() else None
        case EtcdSource():
            etcd = access.etcd()
            trees = (etcd.nodes(prefix)[0] for prefix in source.prefixes)
            return sum(len(n.key) + len(n.value or "") + 30 for tree in trees for n in tree)
        case BucketSource():
            from deiswizard.backup.gateway import bucket_size

            return bucket_size(source, access)
