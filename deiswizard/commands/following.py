"""A run, followed to its end without a screen."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Protocol

from deiswizard.commands.saying import talk
from deiswizard.run.hub import Hub
from deiswizard.run.state import RunState
from deiswizard.vocabulary import RunStatus

LOOK_SECONDS = 0.2


class Followed(Protocol):
    """A run of this wizard's, or of another's."""

    hub: Hub
    ended: threading.Event

    def wait(self, timeout: float | None = None) -> RunState:
        """Wait for the end."""
        ...

    def stop(self, *, now: bool = False) -> None:
        """Stop."""
        ...


class Asks:
    """How often ctrl-c or ``kill`` has asked to stop, and not been answered yet."""

    def __init__(self) -> None:
        self._waiting = 0
        self._answered = 0

    def note(self, _number: int, _frame: FrameType | None) -> None:
        """Once more."""
        self._waiting += 1

    def answer(self, run: Followed) -> None:
        """The first asks to stop after what is going on, another one: now."""
        while self._waiting:
            self._waiting -= 1
            run.stop(now=bool(self._answered))
            self._answered += 1
            talk("stopping after what is going on now; ctrl-c again: at once")


@contextlib.contextmanager
def asked_to_stop() -> Iterator[Asks]:
    """From here on nothing is interrupted: what asks is noted. Entered before a run begins, or may be seen."""
    asks = Asks()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, asks.note) for number in numbers]
    try:
        yield asks
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def to_the_end(run: Followed, asks: Asks) -> RunState:
    """Wait for the end; who asks to stop meanwhile is answered."""
    while run.wait(LOOK_SECONDS).status is RunStatus.RUNNING and not run.ended.is_set():
        asks.answer(run)
    return run.hub.state
