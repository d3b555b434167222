"""The journal: a run's events on disk, one JSON object a line, append-only.

A line is whole or it is not there: what a kill -9 tore off is left out on reading. Before a step
does anything, the line that says so is on disk. Beside it stands a log of each host's output.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from deiswizard.errors import PreconditionError
from deiswizard.redaction import Redactor
from deiswizard.run.events import (
    EVENT,
    BytesCopied,
    Event,
    LayerProgressed,
    OutputReceived,
    WaitPolled,
)
from deiswizard.run.folders import JOURNAL
from deiswizard.run.masking import as_json

UNSYNCED = (OutputReceived, LayerProgressed, BytesCopied, WaitPolled)
"""Events that need not be on disk before the run goes on."""

ASKED_FOR = 2.0
"""Seconds for which a journal that is locked may only be asked about (``is_being_written``)."""


def _opened(path: Path) -> IO[str]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return os.fdopen(descriptor, "a", encoding="utf-8", errors="replace")


def _is_locked(file: IO[str]) -> bool:
    """Lock it for this process; gone with it. Who only asks whether it is written holds it for a moment, too."""
    deadline = time.monotonic() + ASKED_FOR
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def _is_torn(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read(1) not in (b"", b"\n")


class JournalWriter:
    """Writes events as they come, from any thread. Never raises once it was made.

    A journal that is there already is gone on with.

    ``problem`` says why writing ended, if it did (a full disk): the run then stops at the next
    border instead of going on unrecorded.

    Raises:
        PreconditionError: another wizard writes this journal now.
    """

    def __init__(self, folder: Path, redactor: Redactor) -> None:
        self._folder = folder
        self._redactor = redactor
        self._file = _opened(folder / JOURNAL)
        if not _is_locked(self._file):
            self._file.close()
            raise PreconditionError(
                f"run {folder.name} is going on in another wizard on this machine",
                do=f"watch it there, or from here: deiswizard resume {folder.name}",
            )
        if _is_torn(folder / JOURNAL):
            self._file.write("\n")  # what a kill has torn off must not spoil the next line
        self._logs: dict[Path, IO[str]] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        self.problem = ""

    def write(self, event: Event) -> None:
        """Append an event; on disk before this returns, except for mere progress."""
        with self._lock:
            if self.problem or self._is_closed:
                return
            try:
                self._file.write(as_json(event, self._redactor) + "\n")
                if isinstance(event, OutputReceived):
                    self._log(event)
                if not isinstance(event, UNSYNCED):
                    self._file.flush()
                    os.fsync(self._file.fileno())
            except OSError as error:
                self.problem = f"{self._folder / JOURNAL} cannot be written: {error.strerror}"
            except Exception as error:  # a bug must stop the run, not kill the thread that tells
                self.problem = (
                    f"{self._folder / JOURNAL} cannot be written: internal error "
                    f"({type(error).__name__}), a bug"
                )

    def _log(self, event: OutputReceived) -> None:
        name = re.sub(r"[^A-Za-z0-9._-]", "_", event.host).lstrip(".") or "cluster"
        path = self._folder / "hosts" / f"{name}.log"
        if path not in self._logs:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._logs[path] = _opened(path)
        lines = "".join(f"{line}\n" for line in event.lines)
        self._logs[path].write(self._redactor.text(lines))

    def flush(self) -> None:
        """Push progress out too."""
        with self._lock:
            if not self._is_closed:
                self._flush()

    def _flush(self) -> None:
        for path, file in ((self._folder / JOURNAL, self._file), *self._logs.items()):
            try:
                file.flush()
            except OSError as error:
                self.problem = self.problem or f"{path} cannot be written: {error.strerror}"

    def close(self) -> None:
        """Push everything out and close. What comes later is not written."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._flush()
            for file in (self._file, *self._logs.values()):
                try:
                    file.close()
                except OSError:
                    continue


def is_being_written(folder: Path) -> bool:
    """Whether the wizard that writes this journal is alive."""
    try:
        with (folder / JOURNAL).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def read_journal(folder: Path) -> Iterator[Event]:
    """The events of a run, in order. A torn or damaged line is left out.

    Raises:
        PreconditionError: there is no journal.
    """
    try:
        data = (folder / JOURNAL).read_bytes()
    except OSError as error:
        raise PreconditionError(
            f"the journal of run {folder.name} cannot be read", said=str(error)
        ) from error
    for line in data.split(b"\n"):
        try:
            yield EVENT.validate_json(line)
        except (ValidationError, ValueError):
            continue
