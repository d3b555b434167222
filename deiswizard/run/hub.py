"""Where a run's events meet: the reducer, the window of log lines, and the listeners."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from deiswizard.cluster.lock_key import said_of
from deiswizard.plan.step import Step
from deiswizard.redaction import Redactor
from deiswizard.run.events import (
    Event,
    HostLost,
    HostReturned,
    LockAcquired,
    LockBroken,
    LockConfirmed,
    LockLost,
    LockRefused,
    LockUnconfirmed,
    OutputReceived,
    RecordingEnded,
    RunStarted,
    StepFinished,
    StepStarted,
)
from deiswizard.run.masking import for_eyes
from deiswizard.run.reducer import reduce
from deiswizard.run.state import RunState

WINDOW_LINES = 20_000
"""Lines kept for the log pane, all hosts together; the files keep them all."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the log. ``number`` grows by one; ``at`` in seconds since the epoch."""

    number: int
    at: float
    host: str
    step: str
    text: str


def lock_words(event: Event) -> str:
    """What the log says of the lock; nothing where all is as it should be."""
    match event:
        case LockRefused():
            return f"the lock is held by {said_of(event.holder, event.at)}"
        case LockBroken():
            return f"the lock of {said_of(event.holder, event.at)} was removed: {event.said}"
        case LockAcquired(is_again=True):
            return "the lock had run out; nobody has had it since, and it is this run's again"
        case LockUnconfirmed():
            return f"etcd does not say whether the lock is still this run's: {event.said}"
        case LockConfirmed():
            return "etcd answers again, and the lock is this run's"
        case LockLost():
            return f"{event.said}: no other step begins"
        case _:
            return ""


class Hub:
    """Takes events from any thread; answers the current, immutable state.

    What ``redactor`` knows is masked before anybody sees it.
    """

    def __init__(self, redactor: Redactor | None = None) -> None:
        self._redactor = redactor
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._state = RunState()
        self._lines: deque[LogLine] = deque(maxlen=WINDOW_LINES)
        self._next = 0
        self._steps: dict[str, Step] = {}
        self._listeners: list[Callable[[Event], None]] = []

    def subscribe(self, listener: Callable[[Event], None]) -> None:
        """Hand every later event to ``listener``, in order, in the emitting thread.

        A listener that raises is not asked again: a broken pipe must not break the run.
        """
        with self._lock:
            self._listeners.append(listener)

    def emit(self, event: Event) -> None:
        """Take an event. Listeners come first: what the state tells is on disk already."""
        if self._redactor is not None:
            event = for_eyes(event, self._redactor)
        with self._lock:
            for listener in tuple(self._listeners):
                try:
                    listener(event)
                except Exception as error:
                    self._listeners.remove(listener)
                    self._add(
                        event.at, "", "", f"something that followed this run gave up: {error!r}"
                    )
            self._state = reduce(self._state, event)
            if isinstance(event, RunStarted):
                self._steps = {step.id: step for step in event.plan.steps}
            self._note(event)
            self._changed.notify_all()

    def _note(self, event: Event) -> None:
        """What the log shows of an event."""
        if isinstance(event, OutputReceived):
            if event.skipped:
                self._add(event.at, event.host, event.step, f"... {event.skipped} lines left out")
            for line in event.lines:
                self._add(event.at, event.host, event.step, line)
            return
        if isinstance(event, HostLost | HostReturned):
            is_lost = isinstance(event, HostLost)
            words = (
                "connection lost: what was begun there goes on" if is_lost else "connected again"
            )
            self._add(event.at, event.host, "", words)
            return
        if isinstance(event, RecordingEnded):
            self._add(event.at, "", "", f"nothing more can be recorded: {event.said}")
            return
        if words := lock_words(event):
            self._add(event.at, "", "", words)
            return
        step = self._steps.get(getattr(event, "step", ""))
        if step is None:
            return
        if isinstance(event, StepStarted):
            again = f" (try {event.attempt})" if event.attempt > 1 else ""
            self._add(event.at, step.host, step.id, f"> {step.title}{again}")
        elif isinstance(event, StepFinished):
            said = f": {event.said}" if event.said else ""
            self._add(event.at, step.host, step.id, f"= {step.title}: {event.status}{said}")

    def _add(self, at: float, host: str, step: str, text: str) -> None:
        self._lines.append(LogLine(self._next, at, host, step, text))
        self._next += 1

    @property
    def state(self) -> RunState:
        """How the run stands now."""
        return self._state

    def lines(
        self, after: int = 0, *, host: str = "", limit: int = 2000
    ) -> tuple[int, tuple[LogLine, ...]]:
        """Lines from number ``after`` on, of one host or all: (number to ask with next, lines).

        The newest ``limit`` of them; what is older stands in the files of the run's folder.
        """
        with self._lock:
            first = self._lines[0].number if self._lines else self._next
            start = max(after - first, 0, len(self._lines) - limit if not host else 0)
            found = [
                line
                for line in itertools.islice(self._lines, start, None)
                if host in ("", line.host)
            ]
            return self._next, tuple(found[-limit:])

    def wait_for(
        self, condition: Callable[[RunState], bool], timeout: float | None = None
    ) -> RunState:
        """Block until the state meets ``condition`` or time is up; the state then."""
        with self._changed:
            self._changed.wait_for(lambda: condition(self._state), timeout)
            return self._state
