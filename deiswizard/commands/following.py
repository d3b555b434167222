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


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """``kill`` asks as politely as ctrl-c."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def to_the_end(run: Followed) -> RunState:
    """Wait for the end; ctrl-c asks to stop after what is going on, twice: now."""
    asked = False
    with _terminated_as_interrupted():
        while True:
            try:
                while run.wait(0.5).status is RunStatus.RUNNING and not run.ended.is_set():
                    pass
                return run.hub.state
            except KeyboardInterrupt:
                run.stop(now=asked)
                talk("stopping after what is going on now; ctrl-c again: at once")
                asked = True
