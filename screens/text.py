"""Text from elsewhere, made fit for a screen: never markup, never control characters."""

from __future__ import annotations

import re
import textwrap

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
    lines = textwrap.wrap(clean(text), max(20, width - indent)) or [""]
    return [f"{label if not n else '':{indent}}{line}" for n, line in enumerate(lines)]


def in_bytes(size: float) -> str:
    """``143 MB``, ``4.1 GB``."""
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def in_time(seconds: float) -> str:
    """``12 s``, ``2 min 04 s``, ``1 h 05 min``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def ago(seconds: float) -> str:
    """``12 s ago``, coarser as it grows."""
    if seconds < 60:
        return f"{int(seconds)} s ago"
    if seconds < 7200:
        return f"{int(seconds // 60)} min ago"
    return f"{int(seconds // 3600)} h ago"
