"""A recorded run, fed through the same panes again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from deiswizard.errors import PreconditionError
from deiswizard.run.events import RunStarted
from deiswizard.run.hub import Hub
from deiswizard.run.journal import is_being_written, read_journal
from deiswizard.run.state import RunState
from deiswizard.vocabulary import RunStatus, StepStatus

CUT_OFF = "going on when the wizard ended; look at the host"


class Replay:
    """The same surface as ``Run``, from a journal.

    Args:
        folder: the run's folder.
        speed: how many times faster than it was; 0: all at once.

    Raises:
        PreconditionError: there is no journal, or nothing in it.
    """

    def __init__(self, folder: Path, speed: float = 1.0) -> None:
        self.folder = folder
        self.id = folder.name
        self.hub = Hub()
        self._events = list(read_journal(folder))
        if not self._events or not isinstance(self._events[0], RunStarted):
            raise PreconditionError(f"the journal of run {self.id} holds no run")
        self.plan = self._events[0].plan
        self._speed = speed
        self._stop = threading.Event()
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._feed, name=f"replay-{self.id}", daemon=True)

    def start(self) -> None:
        """Begin. Returns at once."""
        self._thread.start()

    def _feed(self) -> None:
        before = self._events[0].at
        for event in self._events:
            pause = (event.at - before) / self._speed if self._speed else 0.0
            before = event.at
            if pause > 0 and self._stop.wait(pause):
                break
            self.hub.emit(event)
        self.ended.set()

    def wait(self, timeout: float | None = None) -> RunState:
        """Wait until everything was told, ``timeout`` seconds at most."""
        self.ended.wait(timeout)
        return self.hub.state

    def retry(self, steps: Sequence[str] | None = None) -> None:
        """What was, cannot be tried again."""

    def skip(self, step: str, reason: str) -> None:
        """What was, cannot be left out."""

    def stop(self, *, now: bool = False) -> None:
        """Stop telling."""
        self._stop.set()


def final_state(folder: Path) -> RunState:
    """What a journal adds up to.

    A run that never ended is as it says while its wizard lives. Else it is ``interrupted``, and what
    was going on is ``unknown``.

    Raises:
        PreconditionError: there is no journal, or nothing in it.
    """
    lives = is_being_written(folder)
    replay = Replay(folder, speed=0)
    replay._feed()
    state = replay.hub.state
    if state.finished_at is not None or lives:
        return state
    steps = {
        name: replace(step, status=StepStatus.UNKNOWN, said=CUT_OFF)
        if step.status is StepStatus.RUNNING
        else step
        for name, step in state.steps.items()
    }
    return replace(state, status=RunStatus.INTERRUPTED, steps=MappingProxyType(steps))
