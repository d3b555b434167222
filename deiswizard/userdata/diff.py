"""The difference of two texts, as data: the sign stands first, so it needs no colour."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from deiswizard.redaction import Redactor

Sign = Literal[" ", "+", "-", "@"]
LINE = re.compile(r"[^\n]*\n|[^\n]+")
NO_END = " (no line end)"


@dataclass(frozen=True)
class DiffLine:
    """One line. ``sign``: ``-`` goes, ``+`` comes, a space stays, ``@`` begins a part of the file.
    ``before`` and ``after`` are its numbers from 1; None where it is not there.
    """

    sign: Sign
    text: str
    before: int | None = None
    after: int | None = None


def difference(
    before: str, after: str, *, redactor: Redactor, context: int = 3
) -> tuple[DiffLine, ...]:
    """What changes, with ``context`` lines around it and secrets masked; empty: nothing does."""
    old, new = LINE.findall(before), LINE.findall(after)
    lines: list[DiffLine] = []
    for group in difflib.SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(
        context
    ):
        first, last = group[0], group[-1]
        where = f"lines {first[1] + 1} to {last[2]}, now {first[3] + 1} to {last[4]}"
        lines.append(DiffLine("@", where))
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                lines += [
                    DiffLine(" ", _shown(old[i], redactor), i + 1, j + 1)
                    for i, j in zip(range(i1, i2), range(j1, j2), strict=True)
                ]
                continue
            lines += [DiffLine("-", _shown(old[i], redactor), i + 1) for i in range(i1, i2)]
            lines += [DiffLine("+", _shown(new[j], redactor), None, j + 1) for j in range(j1, j2)]
    return tuple(lines)


def _shown(line: str, redactor: Redactor) -> str:
    end = "" if line.endswith("\n") else NO_END
    return redactor.text(line.rstrip("\r\n")) + end


def as_text(lines: Iterable[DiffLine]) -> str:
    """The lines for a terminal."""
    return "\n".join(f"{line.sign} {line.text}".rstrip() for line in lines)
