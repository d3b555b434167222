"""How times, sizes and counts are put into words, on screens and on paper alike."""

from __future__ import annotations

import time
from collections.abc import Sequence


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


def at_time(at: float | None) -> str:
    """``2026-11-22 22:31:04 UTC`` in the operator's own time zone; empty when it is not known."""
    return "" if at is None else time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(at)).strip()


def counted(count: int, what: str) -> str:
    """``1 host``, ``3 hosts``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def grouped(number: int) -> str:
    """``48 377``."""
    return f"{number:,}".replace(",", " ")


def harmless(text: str) -> str:
    """``text`` with ``?`` for everything that is neither a printable character nor a line end."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


MANY = 4
"""Names that are all told; of more, the first and how many."""


def few(names: Sequence[str], most: int = MANY) -> str:
    """The first names, and how many are left: ``deis-1, deis-2 and 40 more``."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def named(names: Sequence[str]) -> str:
    """``deis-1, deis-2``; ``deis-1, deis-2, deis-3 and 42 more``."""
    return few(names, MANY if len(names) <= MANY else MANY - 1)
