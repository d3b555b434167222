"""Where the pretend cluster can be told to wait, so that a fault need not race anybody."""

from __future__ import annotations

import threading


class Gate:
    """Open at first. Closed, it lets so many more pass; the others wait until it is opened."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._left: int | None = None
        self._waiting = 0

    def close(self, after: int = 0) -> None:
        """Let ``after`` more pass."""
        with self._changed:
            self._left = after

    def open(self) -> None:
        """All pass, those who wait too."""
        with self._changed:
            self._left = None
            self._changed.notify_all()

    @property
    def is_waited_at(self) -> bool:
        """Somebody waits: all that were let pass have come."""
        with self._changed:
            return self._waiting > 0

    def wait(self) -> None:
        """Go through, as soon as that is allowed."""
        with self._changed:
            if self._left:
                self._left -= 1
                return
            self._waiting += 1
            self._changed.wait_for(lambda: self._left is None)
            self._waiting -= 1
