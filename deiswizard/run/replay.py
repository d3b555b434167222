"""A recorded run, fed through the same panes again."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from deiswizard.errors import PreconditionError
from deiswizard.plan.plan import Plan
from deiswizard.run.events import Event, RunResumed, RunStarted
from deiswizard.run.hub import Hub
from deiswizard.run.journal import is_being_written, read_journal
from deiswizard.run.reducer import reduce
from deiswizard.run.state import RunState, StepState
from deiswizard.vocabulary import RunStatus, StepStatus

CUT_OFF = "going on when the wizard ended"


def recorded(folder: Path) -> tuple[Plan, list[Event]]:
    """The plan of a run and all that its journal holds.

    Raises:
        PreconditionError: there is no journal, or nothing in it.
    """
    events = list(read_journal(folder))
    if not events or not isinstance(events[0], RunStarted):
        raise PreconditionError(f"the journal of run {folder.name} holds no run")
    return events[0].plan, events


class Replay:
    """The same surface as ``Run``, from a journal.

    Args:
        folder: the run's folder.
        speed: how many times faster than it was; 0: all at once.
        within: in how many seconds at most it is told, whatever ``speed`` would take.

    The time in which no wizard ran it is left out.

    Raises:
        PreconditionError: there is no journal, or nothing in it.
    """

    is_ours = False

    def __init__(self, folder: Path, speed: float = 1.0, *, within: float | None = None) -> None:
        self.folder = folder
        self.id = folder.name
        self.hub = Hub()
        self.plan, self._events = recorded(folder)
        seconds = sum(pause for pause, _ in self._paced())
        self.speed = max(speed, seconds / within) if within and speed else speed
        self._stop = threading.Event()
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._feed, name=f"replay-{self.id}", daemon=True)

    def start(self) -> None:
        """Begin. Returns at once."""
        self._thread.start()

    def _paced(self) -> Iterator[tuple[float, Event]]:
        """The events, each with the seconds that passed before it."""
        before = self._events[0].at
        for event in self._events:
            is_gap = isinstance(event, RunResumed)
            yield 0.0 if is_gap else max(0.0, event.at - before), event
            before = event.at

    def _feed(self) -> None:
        for pause, event in self._paced():
            if self.speed and pause > 0 and self._stop.wait(pause / self.speed):
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

    def leave(self, said: str) -> None:
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
    return state_of(recorded(folder)[1], lives=lives)


def state_of(events: Sequence[Event], *, lives: bool) -> RunState:
    """As ``final_state``, of events that were read already."""
    state = functools.reduce(reduce, events, RunState())
    if state.finished_at is not None or lives:
        return state
    steps = {
        name: replace(step, status=StepStatus.UNKNOWN, said=_cut_off(step))
        if step.status is StepStatus.RUNNING
        else step
        for name, step in state.steps.items()
    }
    return replace(state, status=RunStatus.INTERRUPTED, steps=MappingProxyType(steps))


def _cut_off(step: StepState) -> str:
    """What is known of a step whose wizard has ended."""
    if step.job is None:
        return CUT_OFF
    return f"{CUT_OFF}; it may go on on its host, as {step.job.unit}"
