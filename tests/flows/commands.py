"""The wizard's commands as a user starts them: a process of its own, on some cluster."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.flows.forked import Forked

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


def deiswizard(*words: str, stdin: str = "") -> Said:
    """Run to the end."""
    return said_by("deiswizard.cli", *words, stdin=stdin)


def deiswizard_anew(*words: str) -> Said:
    """As ``deiswizard``, in an interpreter of its own that reads its environment as it starts."""
    ended = subprocess.run(words_of(*words), capture_output=True, text=True, timeout=LIMIT)
    return Said(ended.returncode, ended.stdout, ended.stderr)


def said_by(module: str, *words: str, stdin: str = "") -> Said:
    """Run ``main`` of a module to its end."""
    with tempfile.TemporaryDirectory() as made:
        typed, out, err = (Path(made) / name for name in ("in", "out", "err"))
        typed.write_text(stdin)
        code = Forked(module, *words, stdin=typed, out=out, err=err).wait(LIMIT)
        return Said(code, *(path.read_text() if path.exists() else "" for path in (out, err)))


def begun(log: Path, *words: str) -> Forked:
    """Begin a command that the test will watch; what it says goes to ``log``."""
    log.touch()
    return Forked("deiswizard.cli", *words, out=log, err=log)
