"""How far a backup has got, on this machine: what is whole is not fetched again.

Below the state folder: ``backups/NAME/progress.json`` is the manifest so far, ``SOURCE.jsonl`` the
objects of a bucket that are there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, ValidationError

from deiswizard.backup.data import Manifest, ObjectLine, Part
from deiswizard.errors import StepError
from deiswizard.frozen import Frozen
from deiswizard.run.folders import state_folder


class Progress(Frozen):
    """The manifest so far. ``run`` is whose it is; ``expected`` maps sources to bytes, about."""

    run: str
    manifest: Manifest
    expected: dict[str, int] = Field(default_factory=dict)
    checked: dict[str, str] = Field(default_factory=dict)


def work_folder(backup: str) -> Path:
    """Where it is kept."""
    return state_folder() / "backups" / backup


def load(backup: str) -> Progress | None:
    """What is known of a backup that is being made; None when nothing is."""
    try:
        return Progress.model_validate_json((work_folder(backup) / "progress.json").read_bytes())
    except (OSError, ValidationError):
        return None


def needed(backup: str) -> Progress:
    """The same. Raises StepError when the backup was not begun on this machine."""
    found = load(backup)
    if found is None:
        raise StepError(
            f"nothing is known here of the backup {backup}",
            do="begin a new one: what was copied so far is not in use",
        )
    return found


def save(progress: Progress) -> None:
    """Write it, whole or not at all. Raises StepError."""
    folder = work_folder(progress.manifest.backup)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = folder / "progress.json.part"
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(progress.model_dump_json())
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / "progress.json")
    except OSError as error:
        raise StepError(f"{folder} cannot be written", said=error.strerror or "") from error


def add_part(backup: str, part: Part) -> None:
    """One source is whole."""
    now = needed(backup)
    others = tuple(p for p in now.manifest.parts if p.source.name != part.source.name)
    manifest = now.manifest.model_copy(update={"parts": (*others, part)})
    save(now.model_copy(update={"manifest": manifest}))


def clear(backup: str) -> None:
    """Forget it: the backup is finished, or given up."""
    shutil.rmtree(work_folder(backup), ignore_errors=True)


class Index:
    """The objects of a bucket that are there, in the order of their keys, kept as they come.

    An attempt that was cut off left the beginning of the list in ``NAME.jsonl`` and, from the attempt
    before, what may be known of the rest in ``NAME.jsonl.old``. Both are joined first.
    """

    def __init__(self, backup: str, source: str) -> None:
        folder = work_folder(backup)
        self.path = folder / f"{source}.jsonl"
        self._old = folder / f"{source}.jsonl.old"
        try:
            self._join()
            self._file = self.path.open("w", encoding="utf-8")
        except OSError as error:
            raise StepError(f"{folder} cannot be written", said=error.strerror or "") from error
        self._before = lines_of_index(self._old)
        self._next = next(self._before, None)

    def _join(self) -> None:
        joined = self._old.with_suffix(".joined")
        last = ""
        with joined.open("w", encoding="utf-8") as file:
            for line in lines_of_index(self.path):
                file.write(f"{line.model_dump_json()}\n")
                last = line.key
            for line in lines_of_index(self._old):
                if line.key > last:
                    file.write(f"{line.model_dump_json()}\n")
        joined.replace(self._old)
        self.path.unlink(missing_ok=True)

    def known(self, key: str) -> ObjectLine | None:
        """What an earlier attempt has of an object. To be asked in the order of the keys."""
        while self._next is not None and self._next.key < key:
            self._next = next(self._before, None)
        return self._next if self._next is not None and self._next.key == key else None

    def add(self, line: ObjectLine) -> None:
        """An object is there."""
        try:
            self._file.write(f"{line.model_dump_json()}\n")
            self._file.flush()
        except OSError as error:
            raise StepError(f"{self.path} cannot be written", said=error.strerror or "") from error

    def close(self) -> None:
        """No more will come."""
        self._file.close()
        self._before.close()  # type: ignore[attr-defined]


def lines_of_index(path: Path) -> Iterator[ObjectLine]:
    """Whole lines; a last one that was torn off is left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                yield ObjectLine.model_validate_json(line)
            except ValidationError:
                return
