"""Results to stdout and talk to stderr, without the control characters that remote text may hold."""

from __future__ import annotations

import sys
from typing import TextIO

from deiswizard.wording import harmless


def _write(stream: TextIO, text: str, end: str) -> None:
    encoding = stream.encoding or "utf-8"
    known = harmless(text).encode(encoding, "replace").decode(encoding)
    print(known, file=stream, end=end, flush=True)


def result(text: str) -> None:
    """What the command was asked for."""
    _write(sys.stdout, text, "\n")


def talk(text: str, end: str = "\n") -> None:
    """What is said on the way."""
    _write(sys.stderr, text, end)
