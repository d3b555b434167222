"""Writing a file that was asked for."""

from __future__ import annotations

from pathlib import Path

from deiswizard.errors import PreconditionError


def save(path: Path, text: str) -> None:
    """Write ``text`` whole. Raises PreconditionError."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PreconditionError(
            f"{path} cannot be written: {error.strerror}", do="name another file after -o"
        ) from error
