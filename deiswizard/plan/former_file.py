"""A host's file that another takes the place of: kept beside it, and put back."""

from __future__ import annotations

import shlex


def former(path: str) -> str:
    """Where what was there before is kept; of a drop-in systemd passes over it, as it does not end in ``.conf``."""
    return f"{path}.before"


def keep_command(path: str) -> str:
    """Keep what is there now."""
    return f"cp -p {shlex.quote(path)} {shlex.quote(former(path))}"


def back_command(path: str, *, was_there: bool) -> str:
    """Put what was kept back, or remove the file where there was none."""
    if was_there:
        return f"mv -f {shlex.quote(former(path))} {shlex.quote(path)}"
    return f"rm -f {shlex.quote(path)}"
