"""Copies the registry's images from the cluster's store gateway to a bucket outside, and compares both.

Can be repeated, and taken up where it was cut off: what is there already with the same content is not
sent again. Each object is compared with the checksum that the gateway lists, and sent with its own, which
the store checks.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from deiswizard.backup import s3
from deiswizard.backup.gateway import again
from deiswizard.errors import CancelledError, ServiceError, StepError
from deiswizard.frozen import Frozen
from deiswizard.stores.bucket import CEPH_PATH, Bucket
from deiswizard.wording import counted, grouped, in_bytes

PLAIN = re.compile(r"[0-9a-f]{32}")
"""An etag that is the object's MD5; one of an upload in parts has a dash."""

SOURCE_PREFIX = f"{CEPH_PATH}/"
TOLD = 3

Moved = Callable[[int, int | None, int, int], None]


class Sent(Frozen):
    """An object that this wizard has sent: key and etag at the source, and the etag that the target gave it."""

    key: str
    size: int
    etag: str
    there: str


class Copied(Frozen):
    """What a copy came to. ``sent`` of the objects were not there yet."""

    objects: int
    bytes: int
    sent: int

    @property
    def words(self) -> str:
        """``1 204 objects, 3.4 GB; 12 of them sent now``."""
        return f"{grouped(self.objects)} objects, {in_bytes(self.bytes)}; {grouped(self.sent)} of them sent now"


class SentIndex:
    """What has been sent, in a file of this machine, a JSON object a line; the last word on a key counts.

    ``{"removed": KEY}``: it was removed again. What is at the target by that key later is not ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.known: dict[str, Sent] = {}
        for line in self._lines():
            if isinstance(line, Sent):
                self.known[line.key] = line
            else:
                self.known.pop(line, None)

    def _lines(self) -> Iterator[Sent | str]:
        try:
            text = self._path.read_text("utf-8", errors="replace")
        except FileNotFoundError:
            return
        except OSError as error:
            raise StepError(f"{self._path} cannot be read", said=error.strerror or "") from error
        if text and not text.endswith("\n"):
            self._append("")  # an attempt was cut off within a line: the next one is its own
        for line in text.split("\n"):
            with contextlib.suppress(ValueError):
                read = json.loads(line)
                is_removal = isinstance(read, dict) and "removed" in read
                yield str(read["removed"]) if is_removal else Sent.model_validate(read)

    def add(self, sent: Sent) -> None:
        """An object is there."""
        self.known[sent.key] = sent
        self._append(sent.model_dump_json())

    def remove(self, key: str) -> None:
        """It is not there any more."""
        self.known.pop(key, None)
        self._append(json.dumps({"removed": key}))

    def _append(self, line: str) -> None:
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        except OSError as error:
            raise StepError(f"{self._path} cannot be written", said=error.strerror or "") from error


class RegistryCopy:
    """One source and one target. ``folder`` is where the index of what was sent is kept."""

    def __init__(
        self, source: Any, source_bucket: str, target: Any, bucket: Bucket, folder: Path
    ) -> None:
        self._source, self._source_bucket = source, source_bucket
        self._target, self._bucket = target, bucket
        self._index = SentIndex(folder / "registry-sent.jsonl")

    def _there(self, key: str) -> str:
        """The key at the target."""
        return self._bucket.prefix + key.removeprefix(SOURCE_PREFIX)

    def _listed(self) -> tuple[dict[str, tuple[int, str]], dict[str, tuple[int, str]]]:
        """Size and etag of every object, by key: of the source, and of the target below its prefix."""
        source = {
            key: (size, etag)
            for key, size, etag in s3.listed(self._source, self._source_bucket, SOURCE_PREFIX)
        }
        target = {
            key: (size, etag)
            for key, size, etag in s3.listed(self._target, self._bucket.bucket, self._bucket.prefix)
        }
        return source, target

    def _is_same(self, key: str, here: tuple[int, str], there: tuple[int, str] | None) -> bool:
        """The target has it: by its own etag, or by what was sent and checked on the way."""
        if there is None or there[0] != here[0]:
            return False
        if PLAIN.fullmatch(here[1]) and here[1] == there[1]:
            return True
        sent = self._index.known.get(key)
        return sent is not None and (sent.size, sent.etag, sent.there) == (*here, there[1])

    def copy(self, moved: Moved, interrupted: threading.Event) -> Copied:
        """Send what is not there; remove what we had sent and the source has no more.

        Raises:
            StepError, ServiceError, LinkError: what is sent stays; CancelledError: stopped.
        """
        source, target = self._listed()
        total = sum(size for size, _ in source.values())
        done = sent = 0
        for number, (key, here) in enumerate(sorted(source.items())):
            _check(interrupted)
            if not self._is_same(key, here, target.get(self._there(key))):
                before = done

                def telling(so_far: int, before: int = before, number: int = number) -> None:
                    moved(before + so_far, total, number, len(source))

                sent += self._send(key, here, telling, interrupted)
            done += here[0]
            moved(done, total, number + 1, len(source))
        for key in sorted(set(self._index.known) - set(source)):
            there, known = self._there(key), self._index.known[key]
            if target.get(there) == (known.size, known.there):
                with s3.said(f"{there} of {self._bucket.text} cannot be removed"):
                    self._target.delete_object(Bucket=self._bucket.bucket, Key=there)
            self._index.remove(key)
        return Copied(objects=len(source), bytes=total, sent=sent)

    def _send(
        self,
        key: str,
        here: tuple[int, str],
        telling: Callable[[int], None],
        interrupted: threading.Event,
    ) -> int:
        """How many were sent: 0 when it is gone from the source. A link that breaks is made again."""
        sent = again(
            lambda: self._sent(key, here, telling, interrupted),
            interrupted,
            lambda: _check(interrupted),
        )
        if sent is None:
            return 0
        self._index.add(sent)
        return 1

    def _sent(
        self,
        key: str,
        here: tuple[int, str],
        telling: Callable[[int], None],
        interrupted: threading.Event,
    ) -> Sent:
        size, md5 = 0, hashlib.md5(usedforsecurity=False)
        upload = s3.Upload(
            self._target, self._bucket.bucket, self._there(key), self._bucket.put_options
        )
        try:
            for piece in s3.body_of(self._source, self._source_bucket, key):
                _check(interrupted)
                md5.update(piece)
                upload.write(piece)
                size += len(piece)
                telling(size)
            if PLAIN.fullmatch(here[1]) and md5.hexdigest() != here[1]:
                raise ServiceError(f"{key} came with other bytes than the gateway lists")
            upload.commit()
        except BaseException:
            upload.abort()
            raise
        return Sent(key=key, size=size, etag=here[1], there=upload.etag)

    def compare(self, moved: Moved, interrupted: threading.Event) -> str:
        """Both sides in words. Raises StepError where they differ; as ``copy`` otherwise.

        An object whose checksum the target does not list, and of which nothing is known, is read.
        """
        source, target = self._listed()
        total, done, bad = sum(size for size, _ in source.values()), 0, list[str]()
        for number, (key, here) in enumerate(sorted(source.items())):
            _check(interrupted)
            there = target.get(self._there(key))
            if not self._is_same(key, here, there) and not self._reads_same(key, here, there):
                bad.append(f"{key} is {'missing' if there is None else 'another one'} there")
            done += here[0]
            moved(done, total, number + 1, len(source))
        if bad:
            raise StepError(
                f"{counted(len(bad), 'object')} of {len(source)} differ in {self._bucket.text}",
                said="; ".join(bad[:TOLD]),
                do="copy again: what is the same is not sent again",
            )
        others = len(set(target) - {self._there(key) for key in source})
        more = f"; {counted(others, 'other object')} there besides" if others else ""
        return f"{grouped(len(source))} objects, {in_bytes(total)}, the same checksums{more}"

    def _reads_same(self, key: str, here: tuple[int, str], there: tuple[int, str] | None) -> bool:
        if there is None or there[0] != here[0] or PLAIN.fullmatch(there[1]):
            return False
        digests = []
        for client, bucket, name in (
            (self._source, self._source_bucket, key),
            (self._target, self._bucket.bucket, self._there(key)),
        ):
            digest = hashlib.sha256()
            for piece in s3.body_of(client, bucket, name):
                digest.update(piece)
            digests.append(digest.digest())
        return digests[0] == digests[1]


def _check(interrupted: threading.Event) -> None:
    if interrupted.is_set():
        raise CancelledError("stopped while copying", state="what was sent stays there")
