"""Writes a backup back: settings, buckets, the volume, the database. What is written is read again."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from deiswizard.backup import s3
from deiswizard.backup.content import etcd_nodes, object_lines
from deiswizard.backup.copying import NO_MOUNT, mount_check
from deiswizard.backup.data import BucketSource, Part, Place, VolumeSource
from deiswizard.backup.gateway import client_of
from deiswizard.backup.places import Store
from deiswizard.backup.sealing import Opener
from deiswizard.backup.verifying import Checked, Moved, pieces_of
from deiswizard.cluster.access import ClusterAccess, CommandResult
from deiswizard.errors import CancelledError, ServiceError, StepError

PSQL = "docker exec -i deis-database sudo -u postgres psql -X -q -d postgres"
EXPECTED = re.compile(r'ERROR: +(?:role|database) "?[^"]*"? already exists')
"""pg_dumpall makes its roles anew; that of the server itself is always there."""

GATEWAY = "/deis/store/gateway"
BASES = "basebackups_"
"""What wal-e's base backups begin with in their bucket."""


@dataclass
class Writing:
    """What writing back needs. ``moved`` as in ``copying.Job``."""

    access: ClusterAccess
    store: Store
    backup: str
    opener: Opener | None
    interrupted: threading.Event
    moved: Moved

    def pieces(self, part: Part) -> Iterator[bytes]:
        """A part's own bytes, compared with the manifest at their end."""
        done = 0
        name = f"{self.backup}/{part.file.name}"
        for piece in pieces_of(self.store, name, part.file, self.opener):
            if self.interrupted.is_set():
                raise CancelledError("stopped while writing back", state="it is half written")
            yield piece
            done += len(piece)
            self.moved(done, part.file.plain_size, 0, 0)


def write_keys(job: Writing, part: Part, chosen: Sequence[str]) -> str:
    """The chosen keys, each read again by a majority."""
    etcd, wanted = job.access.etcd(), set(chosen)
    written = same = 0
    for key, value in etcd_nodes(job.pieces(part)):
        if value is None or key not in wanted:
            continue
        now = etcd.get(key, quorum=True)
        if now is not None and now.text == value:
            same += 1
            continue
        etcd.put(key, value, expect=now.index if now else 0)
        again = etcd.get(key, quorum=True)
        if again is None or again.text != value:
            raise StepError(
                f"{key} reads back as something else", do="look at etcd, then try again"
            )
        written += 1
    if written + same != len(wanted):
        raise StepError(f"{len(wanted) - written - same} of the chosen keys are not in the backup")
    return f"{written} keys written, {same} were so already"


def gateway_now(access: ClusterAccess, source: BucketSource, through: str) -> BucketSource:
    """The source with the new cluster's gateway, as etcd tells it now. Raises StepError."""
    etcd = access.etcd()
    host, port = etcd.get(f"{GATEWAY}/host"), etcd.get(f"{GATEWAY}/port")
    if host is None or not host.text:
        raise StepError(
            f"{GATEWAY}/host is not in etcd: the store gateway does not run",
            do="see why: deisctl list; then try again",
        )
    number = int(port.text) if port and port.text.isdecimal() else 8888
    return source.model_copy(update={"gateway": host.text, "port": number, "through": through})


def write_bucket(job: Writing, part: Part, through: str) -> str:
    """The bucket is made if it is not there; objects that are there already are not sent again."""
    assert isinstance(part.source, BucketSource)
    source = gateway_now(job.access, part.source, through)
    client = client_of(source, job.access)
    _make_bucket(client, source.bucket)
    there = {key: (size, etag) for key, size, etag in s3.listed(client, source.bucket)}
    name = f"{job.backup}/{part.file.name}"
    lines = object_lines(pieces_of(job.store, name, part.file, job.opener))
    _must_be_no_others(
        source.bucket, there, {line.key for line in lines if line.key.startswith(BASES)}
    )
    done = sent = count = 0
    for line in object_lines(pieces_of(job.store, name, part.file, job.opener)):
        if job.interrupted.is_set():
            raise CancelledError("stopped while writing back", state="what was sent stays")
        if there.get(line.key) != (line.size, line.etag):
            read = Checked(job.store, f"{job.backup}/{line.stored}", lambda size: None)
            plain = job.opener.opened(read) if job.opener is not None else iter(read)
            s3.put(client, source.bucket, line.key, _proven(plain, line.sha256, line.key))
            read.must_be(line.stored_size, line.stored_sha256)
            sent += 1
        done, count = done + line.size, count + 1
        job.moved(done, part.bytes, count, part.file.count)
    now = {key: size for key, size, _ in s3.listed(client, source.bucket)}
    again = object_lines(pieces_of(job.store, name, part.file, job.opener))
    missing = [line.key for line in again if now.get(line.key) != line.size]
    if missing:
        raise StepError(f"{len(missing)} objects are not in the bucket {source.bucket}, such as {missing[0]}")  # fmt: skip
    return f"{count} objects in {source.bucket}, {sent} of them sent now"


def _must_be_no_others(bucket: str, there: Iterable[str], ours: set[str]) -> None:
    """The database takes the newest base backup that it finds: those of another history may not be there."""
    others = [key for key in there if key.startswith(BASES) and key not in ours]
    if others:
        raise StepError(
            f"the bucket {bucket} holds base backups of another history, such as {others[0]}: the database "
            "might restore those",
            state="nothing was written to it",
            do="if nobody needs them, remove them (s3cmd del), or read the dump instead: --database sql",
        )


def _make_bucket(client: Any, bucket: str) -> None:
    with s3.said(f"the bucket {bucket} cannot be made"):
        names = [item["Name"] for item in client.list_buckets().get("Buckets", ())]
        if bucket not in names:
            client.create_bucket(Bucket=bucket)


def _proven(plain: Iterator[bytes], sha256: str, key: str) -> Iterator[bytes]:
    """The bytes of an object; the last are held back until the whole is known to be right."""
    digest, held = hashlib.sha256(), b""
    for piece in plain:
        digest.update(piece)
        if held:
            yield held
        held = piece
    if digest.hexdigest() != sha256:
        raise StepError(f"the object {key} was damaged in the backup", state="it was not sent")
    yield held


def write_volume(job: Writing, part: Part, host: str) -> str:
    """Untar on a host where the volume is a real Ceph mount."""
    assert isinstance(part.source, VolumeSource)
    folder = part.source.path.rpartition("/")[0]
    command = f"{mount_check(part.source.path)} || exit {NO_MOUNT}; tar -xf - -C {folder}"
    result = job.access.host(host).stream(
        command,
        on_bytes=lambda data: None,
        sudo=True,
        stdin=job.pieces(part),
        cancel=job.interrupted,
    )
    if result.code == NO_MOUNT:
        raise StepError(
            f"{part.source.path} on {host} is no Ceph mount: the logs would go nowhere",
            do="look at deis-store-volume on that host",
        )
    _must_be_ok(result, f"tar on {host}")
    return f"unpacked below {part.source.path} on {host}"


def _must_be_ok(result: CommandResult, what: str) -> None:
    if result.code is None:
        raise StepError(f"{what}: how it ended is not known", said=result.why, do="look, then try again")  # fmt: skip
    if result.code:
        lines = [line for line in result.err.splitlines() if line.strip()]
        raise StepError(f"{what} failed", said=lines[-1] if lines else f"exit status {result.code}")


def errors_of(lines: Iterable[str]) -> list[str]:
    """Psql's errors, without those that every restore of a whole server has."""
    return [line for line in lines if "ERROR:" in line and not EXPECTED.search(line)]


def write_database(job: Writing, part: Part, host: str) -> str:
    """The dump into the database of the new cluster."""
    result = job.access.host(host).stream(
        PSQL, on_bytes=lambda data: None, stdin=job.pieces(part), cancel=job.interrupted
    )
    _must_be_ok(result, f"psql on {host}")
    bad = errors_of(result.err.splitlines())
    if bad:
        raise StepError(
            f"psql said {len(bad)} errors while it read the dump",
            said=bad[0],
            state="the database is half restored",
            do="remove the database 'deis' there, then try again",
        )
    return "the dump was read without errors"


def scratch_way(url: str) -> tuple[list[str], dict[str, str]]:
    """Psql's words and environment for a server: the password stands in no argument.

    Raises:
        StepError: it is no URL of a PostgreSQL server.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres"):
        raise StepError("a scratch server is named as postgresql://user@host:port/postgres")
    user = f"{parts.username}@" if parts.username else ""
    address = parts.netloc.rpartition("@")[2]
    clean = urlunsplit(
        (parts.scheme, f"{user}{address}", parts.path or "/postgres", parts.query, "")
    )
    environ = {**os.environ, "PGCONNECT_TIMEOUT": "10"}
    if parts.password:
        environ["PGPASSWORD"] = unquote(parts.password)
    return ["psql", "-X", "-q", "-d", clean], environ


def _ask(words: list[str], environ: dict[str, str], query: str) -> str:
    try:
        done = subprocess.run(
            [*words, "-tA", "-c", query], env=environ, capture_output=True, text=True, timeout=60
        )
    except FileNotFoundError as error:
        raise StepError("psql is not installed here", do="install the PostgreSQL client") from error
    except subprocess.TimeoutExpired as error:
        raise StepError("the scratch server does not answer") from error
    if done.returncode:
        raise StepError("the scratch server cannot be used", said=done.stderr.strip())
    return done.stdout.strip()


OTHERS = "select string_agg(datname, ', ') from pg_database where not datistemplate and datname <> 'postgres'"  # fmt: skip
TABLES = "select count(*) from information_schema.tables where table_schema not in ('pg_catalog', 'information_schema')"  # fmt: skip


def try_in_scratch(pieces: Iterable[bytes], url: str) -> str:
    """Restore a dump into an empty server of this machine or another, and count what is there.

    Raises:
        StepError: the server is not empty, or the dump cannot be read by it.
    """
    words, environ = scratch_way(url)
    if others := _ask(words, environ, OTHERS):
        raise StepError(
            f"the scratch server is not empty: it has {others}",
            state="nothing was written to it",
            do="give one that holds nothing that anybody needs",
        )
    with subprocess.Popen(
        words, env=environ, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stderr is not None
        lines: list[str] = []
        reader = threading.Thread(target=_collect, args=(process.stderr, lines.append), daemon=True)
        reader.start()
        try:
            for piece in pieces:
                process.stdin.write(piece)
            process.stdin.close()
        except BrokenPipeError:
            pass  # what it said and its exit status tell why
        except BaseException:
            process.kill()
            raise
        status = process.wait()
        reader.join(10)
    bad = errors_of(lines)
    if status or bad:
        said = (bad or lines or [f"exit status {status}"])[0]
        raise StepError("the dump cannot be restored", said=said)
    names = [name for name in (_ask(words, environ, OTHERS) or "").split(", ") if name]
    tables = sum(int(_ask([*words[:-1], _in(words[-1], name)], environ, TABLES)) for name in names)
    return f"{len(names)} databases with {tables} tables: {', '.join(names)}"


def _in(url: str, database: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, f"/{database}", parts.query, ""))


def _collect(stream: Any, take: Callable[[str], None]) -> None:
    for line in stream:
        take(line.decode("utf-8", "replace").rstrip())


def place_named(text: str, endpoint: str = "", profile: str = "") -> tuple[Place, str]:
    """The place and the name of a backup that a person names by path, URL, or name.

    Raises:
        ServiceError: nothing is known by that name.
    """
    from pathlib import Path

    from deiswizard.backup.records import all_known

    if text.startswith("s3://"):
        bucket, _, rest = text.removeprefix("s3://").strip("/").partition("/")
        prefix, _, name = rest.rpartition("/")
        return Place(kind="s3", bucket=bucket, prefix=prefix, endpoint=endpoint, profile=profile), name  # fmt: skip
    known = all_known()
    if text == "last" and known:
        return known[0].place, known[0].backup
    for fact in known:
        if fact.backup == text:
            return fact.place, fact.backup
    path = Path(text).expanduser().absolute()
    if path.is_dir():
        return Place(kind="folder", path=str(path.parent)), path.name
    raise ServiceError(
        f"there is no backup '{text}'",
        do="give its folder, s3://bucket/prefix/NAME, or the name of one that this machine made",
    )
