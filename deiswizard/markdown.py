"""Markdown of text that may come from anywhere: it never becomes markup, and keeps to its line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from deiswizard.wording import harmless

ENTITIES = {"<": "&lt;", ">": "&gt;", "|": "&#124;"}
MARKUP = re.compile(r"[\\`*\[\]~]|(?<![^\W_])_|_(?![^\W_])|&(?=#|\w+;)|^[#=+-]")
"""What begins something. An underscore within a word begins nothing; a dash only a list in front."""

NUMBERED = re.compile(r"^(\d+)([.)])(?=\s|$)")
"""What begins a numbered list."""

LONGEST = 300
"""Characters of a value that are worth reading on paper."""


def one_line(text: str) -> str:
    """No line ends: they and tabs are spelled, what cannot be seen is ``?``, a long text is cut."""
    shown = harmless(text[: LONGEST * 4].replace("\n", "\\n").replace("\t", "\\t"))
    if len(shown) <= LONGEST:
        return shown
    return f"{shown[:LONGEST]}... ({len(text)} characters)"


def plain(text: str) -> str:
    """Text as text: nothing in it is markup, HTML or an entity."""
    escaped = MARKUP.sub(lambda match: f"\\{match[0]}", one_line(text.strip()))
    escaped = NUMBERED.sub(r"\1\\\2", escaped)
    return "".join(ENTITIES.get(char, char) for char in escaped)


def code(text: str) -> str:
    """A code span: text that stands exactly as it is. An empty one would be none."""
    shown = one_line(text)
    if not shown.strip():
        return "(empty)"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    pad = " " if shown.startswith(("`", " ")) or shown.endswith(("`", " ")) else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table. Cells are Markdown already; a ``|`` in code is escaped here."""
    lines = [_row(head), "|" + "---|" * len(head), *(_row(row) for row in rows)]
    return [*lines, ""]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
