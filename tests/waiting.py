"""Waiting for a state, in whatever test."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(
    condition: Callable[[], bool], seconds: float = 90.0, why: str = "it never came to that"
) -> None:
    """Poll until it holds; ``why`` is said when it does not in that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, why
        time.sleep(0.02)
