"""Where a backup is written to and read from, behind one shape."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from deiswizard.backup.data import MANIFEST, Manifest, Place
from deiswizard.errors import StepError, WizardError

CHUNK = 1024 * 1024


class Writer(Protocol):
    """A file being written: nobody sees it before ``commit``. Everything raises StepError."""

    def write(self, data: bytes) -> None:
        """The next bytes."""
        ...

    def commit(self) -> None:
        """It is whole: give it its name."""
        ...

    def abort(self) -> None:
        """Remove what was written."""
        ...


class Store(Protocol):
    """The files of one place. Names are ``BACKUP/NAME``. Everything raises StepError."""

    place: Place

    def prepare(self) -> None:
        """Make it, and prove that files can be written there and removed."""
        ...

    def free(self) -> int | None:
        """Bytes of room; None where there is no such limit."""
        ...

    def create(self, name: str) -> Writer:
        """Begin a file. One of that name is replaced when it is whole."""
        ...

    def size(self, name: str) -> int | None:
        """Of a file, in bytes; None when there is none."""
        ...

    def read(self, name: str) -> Iterator[bytes]:
        """A file's bytes, a MiB at a time at most."""
        ...

    def backups(self) -> tuple[str, ...]:
        """The names of all folders that hold a manifest."""
        ...

    def remove(self, backup: str) -> None:
        """Remove a backup and everything in it; the manifest goes first."""
        ...


def store_of(place: Place) -> Store:
    """The store of a place. Raises PreconditionError when boto3 is needed and missing."""
    if place.kind == "folder":
        return FolderStore(place)
    from deiswizard.backup.s3 import BucketStore

    return BucketStore(place)


def store_small(store: Store, name: str, data: bytes) -> None:
    """Write a small file at once."""
    writer = store.create(name)
    try:
        writer.write(data)
        writer.commit()
    except BaseException:
        writer.abort()
        raise


def read_small(store: Store, name: str, limit: int = 64 * 1024 * 1024) -> bytes:
    """A small file at once. Raises StepError, also when it is no small file."""
    held = bytearray()
    for piece in store.read(name):
        held += piece
        if len(held) > limit:
            raise StepError(f"{store.place.file(name)} is far too long")
    return bytes(held)


def manifest_of(store: Store, backup: str) -> Manifest:
    """The manifest of a backup. Raises StepError when it is none of ours."""
    from pydantic import ValidationError

    data = read_small(store, f"{backup}/{MANIFEST}")
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        where = store.place.file(backup, MANIFEST)
        raise StepError(f"{where} is no manifest of deiswizard") from error


def checksum(pieces: Iterable[bytes]) -> tuple[str, int]:
    """sha256 and size of a stream."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size


def _trouble(path: Path, what: str, error: OSError) -> StepError:
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StepError(
            f"there is no room left for {path}",
            said=error.strerror or "",
            state="what is whole stays; the rest is fetched again",
            do="free some space there, or make the backup at another place, then try again",
        )
    return StepError(
        f"{path} {what}",
        said=error.strerror or str(error),
        do="look at the folder and at its rights, then try again",
    )


class FolderStore:
    """A folder of this machine: 0700, its files 0600, written beside and then renamed."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._root = Path(place.path)

    def _path(self, name: str) -> Path:
        parts = PurePosixPath(name).parts
        if not parts or PurePosixPath(name).is_absolute() or ".." in parts:
            raise StepError(f"'{name}' is no name of a file in a backup")
        return self._root.joinpath(*parts)

    def prepare(self) -> None:
        """As ``Store.prepare``."""
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _trouble(self._root, "cannot be made", error) from error
        store_small(self, ".deiswizard-can-write", b"")
        try:
            self._path(".deiswizard-can-write").unlink()
        except OSError as error:
            raise _trouble(self._root, "does not let files be removed", error) from error

    def free(self) -> int | None:
        """As ``Store.free``."""
        try:
            return shutil.disk_usage(self._root).free
        except OSError as error:
            raise _trouble(self._root, "cannot be looked at", error) from error

    def create(self, name: str) -> Writer:
        """As ``Store.create``."""
        return _FileWriter(self._path(name), self._root)

    def size(self, name: str) -> int | None:
        """As ``Store.size``."""
        try:
            return self._path(name).stat().st_size
        except OSError:
            return None

    def read(self, name: str) -> Iterator[bytes]:
        """As ``Store.read``."""
        path = self._path(name)
        try:
            with path.open("rb") as file:
                while piece := file.read(CHUNK):
                    yield piece
        except OSError as error:
            raise _trouble(path, "cannot be read", error) from error

    def backups(self) -> tuple[str, ...]:
        """As ``Store.backups``."""
        if not self._root.is_dir():
            return ()
        return tuple(sorted(path.parent.name for path in self._root.glob(f"*/{MANIFEST}")))

    def remove(self, backup: str) -> None:
        """As ``Store.remove``."""
        folder = self._path(backup)
        try:
            (folder / MANIFEST).unlink(missing_ok=True)
            if folder.is_symlink():
                raise StepError(f"{folder} is a link: it is not followed")
            if folder.exists():
                shutil.rmtree(folder)
        except OSError as error:
            raise _trouble(folder, "cannot be removed", error) from error


class _FileWriter:
    def __init__(self, path: Path, root: Path) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._file: IO[bytes] | None = None
        try:
            for folder in reversed([p for p in path.parents if p.is_relative_to(root)]):
                folder.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            self._file = os.fdopen(os.open(self._part, flags, 0o600), "wb", buffering=CHUNK)
            self._part.chmod(0o600)
        except OSError as error:
            raise _trouble(self._part, "cannot be written", error) from error

    def write(self, data: bytes) -> None:
        assert self._file is not None
        try:
            self._file.write(data)
        except OSError as error:
            raise _trouble(self._part, "cannot be written", error) from error

    def commit(self) -> None:
        assert self._file is not None
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self._path)
        except OSError as error:
            raise _trouble(self._path, "cannot be written", error) from error

    def abort(self) -> None:
        try:
            if self._file is not None:
                self._file.close()
        except OSError:
            pass  # what was held back could not be written either
        self._part.unlink(missing_ok=True)


def all_manifests(store: Store, prefix: str) -> tuple[Manifest, ...]:
    """The manifests of the backups whose name begins so; what is none of ours is passed over."""
    found = []
    for backup in store.backups():
        if not backup.startswith(prefix):
            continue
        try:
            manifest = manifest_of(store, backup)
        except WizardError:
            continue
        if manifest.backup == backup:
            found.append(manifest)
    return tuple(found)
