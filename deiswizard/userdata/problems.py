"""What is wrong with a user-data file, line by line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class LineProblem:
    """One sentence about one line (from 1; 0: the file as a whole) and what is allowed there.

    ``blocks`` False: a host starts with it, but not as its author thinks.
    """

    line: int
    what: str
    allowed: str = ""
    blocks: bool = True
    column: int = 0

    def said(self, name: str) -> str:
        """``user-data:12: proxy is ...; allowed: ...``, as compilers say it."""
        where = ":".join(str(part) for part in (name, self.line, self.column) if part)
        mark = "" if self.blocks else "warning: "
        return f"{where}: {mark}{self.what}" + (
            f"; allowed: {self.allowed}" if self.allowed else ""
        )


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that is most like ``word``; empty where none is."""
    by_lower = {one.lower(): one for one in known}
    match = difflib.get_close_matches(word.lower(), list(by_lower), n=1)
    return by_lower[match[0]] if match else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'discovery'?)``, or nothing."""
    match = nearest(word, known)
    return f" (did you mean '{match}'?)" if match and match != word else ""
