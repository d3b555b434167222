"""The wizard's commands as a user starts them: a process of its own, on some cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

LIMIT = 180.0
"""Seconds that any command of a flow may take; measured: 2 to 20."""


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


def words_of(*words: str) -> list[str]:
    """The command line of a ``deiswizard`` command."""
    return [sys.executable, "-m", "deiswizard", *words]


def deiswizard(*words: str, stdin: str | None = None) -> Said:
    """Run to the end."""
    done = subprocess.run(
        words_of(*words), capture_output=True, text=True, timeout=LIMIT, input=stdin or ""
    )
    return Said(done.returncode, done.stdout, done.stderr)


def begun(log: Path, *words: str) -> subprocess.Popen[bytes]:
    """Begin a command that the test will watch; what it says goes to ``log``."""
    with log.open("wb") as out:
        return subprocess.Popen(
            words_of(*words), stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=dict(os.environ)
        )
