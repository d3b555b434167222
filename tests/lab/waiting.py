"""Waiting for something to be true, and asking whether a server is there."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds for a service to come up; measured: 1 to 6."""


def await_that(is_true: Callable[[], bool], what: str, limit: float = PATIENCE) -> None:
    """Poll until it is true. Raises TimeoutError with ``what`` is not."""
    deadline = time.monotonic() + limit
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {limit:.0f} s still not: {what}")
        time.sleep(0.05)


def answers(url: str) -> bool:
    """Whether an HTTP server says anything but an error of its own."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
