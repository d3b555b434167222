"""Work in a thread that the engine owns, polled by whoever waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Task(Generic[T]):
    """A call that runs in a thread of its own. Started by ``background``."""

    def __init__(self, call: Callable[[], T], name: str) -> None:
        self._call = call
        self._done = threading.Event()
        self._result: list[T] = []
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result.append(self._call())
        except BaseException as error:  # told to whoever asks for the result
            self.error = error
        finally:
            self._done.set()

    @property
    def done(self) -> bool:
        """It has ended, well or not."""
        return self._done.is_set()

    def result(self) -> T:
        """What the call answered; raises what it raised. Only when ``done``."""
        if self.error is not None:
            raise self.error
        return self._result[0]

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, ``timeout`` seconds at most; whether it came."""
        return self._done.wait(timeout)


def background(call: Callable[[], T], name: str) -> Task[T]:
    """Run ``call`` in a daemon thread named ``name``."""
    return Task(call, name)
