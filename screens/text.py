"""Text from elsewhere, made fit for a screen: never markup, never control characters."""

from __future__ import annotations

import re
import textwrap

from deiswizard.cluster.lock_key import coarse
from deiswizard.wording import in_bytes as in_bytes
from deiswizard.wording import in_time as in_time

ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
LONGEST = 2000
"""A longer line is cut for the screen; the files keep it whole."""


def clean(text: str) -> str:
    """One line without escape sequences and control characters."""
    text = ANSI.sub("", text[: LONGEST * 4])
    out = "".join(char if char.isprintable() else " " for char in text)
    return out if len(out) <= LONGEST else f"{out[: LONGEST - 3]}..."


def cut(text: str, width: int) -> str:
    """At most ``width`` cells; what was cut shows by dots."""
    text = clean(text)
    if len(text) <= width:
        return text
    return text[: max(0, width - 2)] + ".." if width > 2 else text[:width]


def fit(text: str, width: int) -> str:
    """Exactly ``width`` cells."""
    return cut(text, width).ljust(width)


def hanging(label: str, text: str, indent: int, width: int) -> list[str]:
    """``label`` and, ``indent`` cells from the left, ``text`` in lines of at most ``width`` cells."""
    room = max(20, width - indent)
    lines = textwrap.wrap(clean(text), room, break_on_hyphens=False) or [""]
    return [f"{label if not n else '':{indent}}{line}" for n, line in enumerate(lines)]


def broken(text: str, width: int, indent: int) -> str:
    """The line, broken for ``width`` cells; its further lines begin ``indent`` cells from the left."""
    further = " " * min(indent, width // 2)
    lines = textwrap.wrap(clean(text), width, subsequent_indent=further, break_on_hyphens=False)
    return "\n".join(lines)


def ago(seconds: float) -> str:
    """``12 s ago``, coarser as it grows."""
    return f"{coarse(seconds)} ago"
