"""Files of the operator's machine that choices name, read with words for what may be wrong."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from deiswizard.recommendations.base import Problem

LARGEST = 1_000_000
"""Bytes; a certificate with its chain has some ten thousand."""


def absolute(path: str) -> str:
    """The path as it is understood from any folder: ``~`` and the current folder put in."""
    return str(Path(path).expanduser().absolute()) if path else ""


def read_file(field: str, path: str, largest: int = LARGEST) -> tuple[bytes | None, Problem | None]:
    """The content of a file that the choice ``field`` names, or what is wrong with it."""

    def wrong(what: str, allowed: str = "a file that can be read") -> tuple[None, Problem]:
        return None, Problem(field=field, what=f"{path}: {what}", allowed=allowed)

    try:
        # Without waiting: opening a pipe would hang until somebody writes to it.
        descriptor = os.open(absolute(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            kind = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(kind):
                return wrong("is a folder")
            if not stat.S_ISREG(kind):
                return wrong("is no ordinary file")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(largest + 1)
        finally:
            os.close(descriptor)
    except ValueError:
        return wrong("is no path")
    except OSError as error:
        return wrong(f"cannot be read: {error.strerror or error}")
    if len(content) > largest:
        return wrong("is too large", f"at most {largest} bytes")
    return content, None
