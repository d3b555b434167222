"""A run that goes on in another wizard on this machine, followed by its journal."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from deiswizard.errors import PreconditionError
from deiswizard.run.events import EVENT, RunResumed, RunStarted
from deiswizard.run.folders import JOURNAL
from deiswizard.run.hub import Hub
from deiswizard.run.journal import is_being_written
from deiswizard.run.state import RunState

LOOK_SECONDS = 0.3


class LiveRun:
    """The same surface as ``Run``. Nothing can be decided here but to stop it.

    Raises:
        PreconditionError: there is no journal, or nothing in it.
    """

    is_ours = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.id = folder.name
        self.hub = Hub()
        self.ended = threading.Event()
        self._stop = threading.Event()
        self._pid = 0
        self._rest = b""
        try:
            self._file = (folder / JOURNAL).open("rb")
        except OSError as error:
            raise PreconditionError(
                f"the journal of run {self.id} cannot be read", said=str(error)
            ) from error
        self._read()
        plan = self.hub.state.plan
        if plan is None:
            raise PreconditionError(f"the journal of run {self.id} holds no run")
        self.plan = plan
        self._thread = threading.Thread(target=self._follow, name=f"live-{self.id}", daemon=True)

    def start(self) -> None:
        """Begin to follow. Returns at once."""
        self._thread.start()

    def _read(self) -> None:
        """Take in whatever whole lines have come."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValidationError, ValueError):
                event = EVENT.validate_json(line)
                if isinstance(event, RunStarted | RunResumed):
                    self._pid = event.pid
                self.hub.emit(event)

    def _follow(self) -> None:
        while not self._stop.is_set():
            lives = is_being_written(self.folder)
            self._read()
            if not lives:
                break
            self._stop.wait(LOOK_SECONDS)
        self.ended.set()

    def wait(self, timeout: float | None = None) -> RunState:
        """Wait until the run or its wizard has ended, ``timeout`` seconds at most."""
        self.ended.wait(timeout)
        return self.hub.state

    def retry(self, steps: Sequence[str] | None = None) -> None:
        """Only its own wizard can decide that."""

    def skip(self, step: str, reason: str) -> None:
        """Only its own wizard can decide that."""

    def stop(self, *, now: bool = False) -> None:
        """Ask the other wizard to stop: after what is going on, or ``now``."""
        if self._pid and is_being_written(self.folder):
            with contextlib.suppress(OSError):
                os.kill(self._pid, signal.SIGINT if now else signal.SIGTERM)

    def leave(self, said: str) -> None:
        """Stop following; the run is not touched."""
        self._stop.set()
