"""Handing a run over to a wizard without a screen, so that it goes on when this one ends."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from deiswizard.errors import PreconditionError
from deiswizard.run.folders import BACKGROUND_LOG
from deiswizard.run.journal import is_being_written

READY = "ready to take over"
READY_SECONDS = 90.0
"""How long the other wizard may take to connect and look; measured: 1 to 3."""

FREE_SECONDS = 120.0
"""How long it then waits for this one to let go: short steps are let end first."""

POLL = 0.1


def begin(folder: Path) -> int:
    """Start a wizard that will take the run up; returns when it is connected and waits.

    Answers its process id.

    Raises:
        PreconditionError: it could not connect without asking, or not in time; with its own words.
    """
    path = folder / BACKGROUND_LOG
    path.touch(mode=0o600)
    start = path.stat().st_size
    with path.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "deiswizard", "resume", folder.name, "--yes", "--take-over"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    deadline = time.monotonic() + READY_SECONDS
    while True:
        with path.open("rb") as log:
            log.seek(start)
            said = log.read().decode("utf-8", "replace")
        if READY in said:
            return process.pid
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            words = said.strip().splitlines()
            raise PreconditionError(
                "the run cannot go on without this program",
                said=words[-1] if words else "the other wizard did not connect in time",
                state="what the hosts have begun goes on; the rest waits",
                do=f"come back with: deiswizard resume {folder.name}",
            )
        time.sleep(POLL)


def await_free(folder: Path) -> None:
    """Say that this wizard is ready, and wait until the other has let go.

    Raises:
        PreconditionError: it has not.
    """
    sys.stderr.write(f"{READY}\n")
    sys.stderr.flush()
    deadline = time.monotonic() + FREE_SECONDS
    while is_being_written(folder):
        if time.monotonic() > deadline:
            raise PreconditionError(f"run {folder.name} was not let go by its wizard")
        time.sleep(POLL)
