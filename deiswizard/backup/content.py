"""Is what was copied whole? By what it holds, not only by its checksum."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from deiswizard.backup.data import ObjectLine, Source
from deiswizard.errors import StepError

AFTER = rb"\n(?:--[^\n]*\n|\\unrestrict [^\n]*\n|\s)*\Z"
END = re.compile(rb"-- PostgreSQL database cluster dump complete" + AFTER)
"""pg_dumpall's last words. ``pg_dump``'s own (without "cluster") stand after each database, so a dump
that was cut off there would look whole. Newer ones print ``\\unrestrict`` after it.
"""

TAIL = 4096
TAR_END = bytes(1024)


END_OF_ONE = re.compile(rb"-- PostgreSQL database dump complete" + AFTER)
"""``pg_dump``'s own last words, of one database."""


class Tail:
    """The last bytes of a stream that is a dump; ``end`` are its last words."""

    def __init__(self, end: re.Pattern[bytes] = END) -> None:
        self._held = bytearray()
        self._end = end

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        self._held += data[-TAIL:]
        del self._held[:-TAIL]

    @property
    def is_whole_dump(self) -> bool:
        """What printed it said that it has come to its end."""
        return self._end.search(bytes(self._held)) is not None


def lines_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines of a stream, without their ends."""
    held = b""
    for piece in pieces:
        lines = (held + piece).split(b"\n")
        held = lines.pop()
        yield from lines
    if held:
        yield held


class Pulled(io.RawIOBase):
    """A stream of pieces as a file that can only be read on. Remembers its last bytes."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._held = memoryview(b"")
        self.last = b""

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """As many bytes as are wanted, fewer only at the end."""
        out = bytearray()
        while size < 0 or len(out) < size:
            if not self._held:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._held = memoryview(piece)
                continue
            take = len(self._held) if size < 0 else min(size - len(out), len(self._held))
            out += self._held[:take]
            self._held = self._held[take:]
        data = bytes(out)
        self.last = (self.last + data)[-len(TAR_END) :]
        return data


def count_of(source: Source, pieces: Iterable[bytes]) -> int:
    """Read a source's file to its end; how many things it holds. Raises StepError: it is not whole."""
    match source.kind:
        case "database":
            tail = Tail()
            for piece in pieces:
                tail.feed(piece)
            if not tail.is_whole_dump:
                raise StepError("the dump has no end: pg_dumpall's last line is not there")
            return 0
        case "volume":
            return _members(pieces)
        case "etcd":
            return sum(1 for _ in etcd_nodes(pieces))
        case "bucket":
            return sum(1 for _ in object_lines(pieces))


def _members(pieces: Iterable[bytes]) -> int:
    file = Pulled(pieces)
    try:
        with tarfile.open(fileobj=file, mode="r|") as tar:
            count = sum(1 for _ in tar)
        while file.read(1024 * 1024):
            pass  # what follows the last member: tar fills up to a whole record
    except tarfile.TarError as error:
        raise StepError("the tar file cannot be read to its end", said=str(error)) from error
    if file.last != TAR_END:
        raise StepError("the tar file has no end: it was cut off")
    return count


def etcd_nodes(pieces: Iterable[bytes]) -> Iterator[tuple[str, str | None]]:
    """Key and value (None: a directory) of each line of an etcd export. Raises StepError."""
    lines = lines_of(pieces)
    try:
        head = json.loads(next(lines, b"{}"))
        if head.get("export") != "etcd":
            raise ValueError
        count = 0
        for line in lines:
            node = json.loads(line)
            count += 1
            yield str(node["key"]), None if node.get("dir") else str(node["value"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StepError("the export of etcd cannot be read: a line of it is no JSON") from error
    if count != head.get("nodes"):
        raise StepError(f"the export of etcd holds {count} nodes, it should hold {head['nodes']}")


def object_lines(pieces: Iterable[bytes]) -> Iterator[ObjectLine]:
    """The objects of a bucket's index. Raises StepError."""
    for line in lines_of(pieces):
        try:
            yield ObjectLine.model_validate_json(line)
        except ValidationError as error:
            raise StepError("the index of the bucket cannot be read") from error
