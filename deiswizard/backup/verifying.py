"""Reads a backup again, every file of it: only what was read and found right is believed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

from deiswizard.backup.content import count_of, object_lines
from deiswizard.backup.data import ObjectLine, Part, StoredFile
from deiswizard.backup.places import Store
from deiswizard.backup.sealing import Opener, UnopenableError
from deiswizard.errors import StepError

Moved = Callable[[int, int | None, int, int], None]
"""Bytes so far and in all, files so far and in all."""


class Checked:
    """A stored file while it is read: its bytes, digested and counted on the way."""

    def __init__(self, store: Store, name: str, moved: Callable[[int], None]) -> None:
        self._store, self._name, self._moved = store, name, moved
        self._digest = hashlib.sha256()
        self._pieces: Iterator[bytes] = iter(())
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        self._pieces = self._store.read(self._name)
        yield from self.rest()

    def rest(self) -> Iterator[bytes]:
        """What was not read yet."""
        for piece in self._pieces:
            self._digest.update(piece)
            self.size += len(piece)
            self._moved(len(piece))
            yield piece

    def must_be(self, size: int, sha256: str) -> None:
        """Raises StepError when it was not what the manifest says."""
        where = self._store.place.file(self._name)
        if self.size != size:
            raise StepError(f"{where} has {self.size} bytes, it should have {size}: it was damaged")
        if self._digest.hexdigest() != sha256:
            raise StepError(f"{where} has another checksum than when it was written: it was damaged")  # fmt: skip


class Digested:
    """A stream that is digested on the way."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.digest = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.digest.update(piece)
            yield piece


def pieces_of(store: Store, name: str, file: StoredFile, opener: Opener | None) -> Iterator[bytes]:
    """A file's own bytes, opened where it is sealed; checked against the manifest at its end.

    Raises:
        StepError: it was damaged, or cannot be opened.
    """
    read = Checked(store, name, lambda size: None)
    plain = opener.opened(read) if opener is not None else iter(read)
    yield from plain
    read.must_be(file.size, file.sha256)


def verify_part(
    store: Store,
    backup: str,
    part: Part,
    opener: Opener | None,
    moved: Moved,
    index: Iterable[ObjectLine] | None = None,
) -> str:
    """Read all files of a part; what was found, in words.

    ``opener`` None: they are not sealed. What is sealed and cannot be opened here (for a recipient,
    by a wizard that was started anew) is compared as it is stored; ``index`` is then what this
    machine remembers of a bucket.

    Raises:
        StepError: names the file and what is wrong with it.
    """
    moving = Moving(moved, part.bytes)
    try:
        found = _file(store, backup, part, opener, moving)
    except UnopenableError:
        moving.done = 0
        read = Checked(store, f"{backup}/{part.file.name}", moving.add)
        for _ in read:
            pass
        read.must_be(part.file.size, part.file.sha256)
        if part.source.kind == "bucket" and index is not None:
            _objects(store, backup, index, opener, moving)
        return "checksum, still encrypted: the content was looked at while it was copied"
    match part.source.kind:
        case "database":
            return "checksum; the dump ends as pg_dumpall ends it"
        case "volume":
            return f"checksum; the tar file holds {found} members"
        case "etcd":
            return f"checksum; {found} keys and directories"
        case "bucket":
            again = pieces_of(store, f"{backup}/{part.file.name}", part.file, opener)
            count = _objects(store, backup, object_lines(again), opener, moving)
            return f"checksums of {count} objects"


class Moving:
    """Adds up what was read."""

    def __init__(self, moved: Moved, total: int) -> None:
        self._moved, self._total = moved, total
        self.done = self.items = 0

    def add(self, size: int) -> None:
        """So many bytes more."""
        self.done += size
        self._moved(self.done, self._total, self.items, 0)


def _file(store: Store, backup: str, part: Part, opener: Opener | None, moving: Moving) -> int:
    where = store.place.file(backup, part.file.name)
    read = Checked(store, f"{backup}/{part.file.name}", moving.add)
    plain = Digested(opener.opened(read) if opener is not None else iter(read))
    pieces = iter(plain)
    problem: StepError | None = None
    found = 0
    try:
        found = count_of(part.source, pieces)
    except UnopenableError:
        raise
    except StepError as error:
        problem = error
    if problem is None or opener is None:
        for _ in pieces if problem is None else read.rest():
            pass
        read.must_be(part.file.size, part.file.sha256)
    if problem is not None:
        problem.what = f"{where}: {problem.what}"
        raise problem
    if plain.digest.hexdigest() != part.file.plain_sha256:
        raise StepError(f"{where} opens to other bytes than were copied")
    if part.file.count and found != part.file.count:
        raise StepError(f"{where} holds {found}, it should hold {part.file.count}")
    return found


def _objects(
    store: Store,
    backup: str,
    lines: Iterable[ObjectLine],
    opener: Opener | None,
    moving: Moving,
) -> int:
    count = 0
    for line in lines:
        read = Checked(store, f"{backup}/{line.stored}", moving.add)
        plain = Digested(opener.opened(read) if opener is not None else iter(read))
        try:
            for _ in plain:
                pass
            opened = plain.digest.hexdigest()
        except UnopenableError:
            for _ in read.rest():
                pass
            opened = line.sha256
        except StepError as error:
            error.what = f"the object {line.key}: {error.what}"
            raise
        try:
            read.must_be(line.stored_size, line.stored_sha256)
        except StepError as error:
            error.what = f"the object {line.key}: {error.what}"
            raise
        if opened != line.sha256:
            raise StepError(f"the object {line.key} opens to other bytes than were copied")
        count += 1
        moving.items = count
    return count
