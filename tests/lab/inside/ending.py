"""How a component ends: with everything that it has started.

systemd must not be left with processes of a unit: in a host of the lab it is not told when a control group
becomes empty (version 1 tells it the machine's own), and would wait until the stop counts as failed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

PATIENCE = 5.0
"""Seconds that a child has to end by itself."""


def children() -> set[int]:
    """The processes that any thread of this one has started."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def end_with_children() -> None:
    """From now on SIGTERM ends this process's children, waits for them, and then ends it well."""
    signal.signal(signal.SIGTERM, lambda *_: _end())


def _end() -> None:
    asked: set[int] = set()
    patient_until = time.monotonic() + PATIENCE
    while left := children():
        how = signal.SIGTERM if time.monotonic() < patient_until else signal.SIGKILL
        for pid in left - asked if how == signal.SIGTERM else left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
        asked |= left
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)
    os._exit(0)
