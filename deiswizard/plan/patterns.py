"""Our patterns as ``grep -E`` knows them, so that a shell script can ask the same question."""

from __future__ import annotations

import re
from dataclasses import dataclass

CLASSES = {"d": "0-9", "s": "[:space:]", "w": "[:alnum:]_"}
"""What is the same in both, within brackets."""

PUNCTUATION = "\\.^$*+?{}[]|()/-:=,@%&#'\"<>_~! "


@dataclass(frozen=True)
class Grep:
    """A pattern for ``grep -E``. ``whole``: the text is to be matched as one line."""

    pattern: str
    whole: bool = False
    ignores_case: bool = False


def as_grep(pattern: str) -> Grep | None:
    """``pattern`` of Python's ``re.search``; None where ``grep -E`` has no such thing."""
    flags = ""
    if pattern.startswith("(?") and ")" in pattern and pattern[2 : pattern.index(")")].isalpha():
        flags, pattern = pattern[2 : pattern.index(")")], pattern[pattern.index(")") + 1 :]
    if set(flags) - set("mi") or "\n" in pattern or not pattern.isprintable():
        return None
    out, at, is_anchored = "", 0, False
    while at < len(pattern):
        part, used = _part(pattern[at:])
        if part is None:
            return None
        is_anchored = is_anchored or pattern[at] in "^$"
        out += part
        at += used
    return Grep(out, whole=is_anchored and "m" not in flags, ignores_case="i" in flags)


def _part(rest: str) -> tuple[str | None, int]:
    """The next piece of a pattern, and how many characters of ours it was."""
    if rest.startswith("(?:"):
        return "(", 3
    if rest.startswith("(?"):
        return None, 0
    if rest[0] == "[":
        return _bracket(rest)
    if rest[0] == "{" and not re.match(r"\{\d+(,\d*)?\}", rest):
        return None, 0
    if rest[0] == "\\":
        if len(rest) < 2:
            return None, 0
        if rest[1] in CLASSES:
            return f"[{CLASSES[rest[1]]}]", 2
        if rest[1].lower() in CLASSES:
            return f"[^{CLASSES[rest[1].lower()]}]", 2
        if rest[1] in PUNCTUATION:
            return (f"\\{rest[1]}" if rest[1] in "\\.^$*+?{}[]|()" else rest[1]), 2
        return None, 0
    if rest[0] in "*+?}" and rest[1:2] == "?":  # as few as possible: it matches or it does not
        return rest[0], 2
    if rest[0] in "*+?}" and rest[1:2] == "+":
        return None, 0
    return rest[0], 1


def _bracket(rest: str) -> tuple[str | None, int]:
    """``[...]``: there a backslash is only itself in grep."""
    inside, at = "", 1
    if rest[1:2] == "^":
        inside, at = "^", 2
    last = ""
    while at < len(rest) and (rest[at] != "]" or inside in ("", "^")):
        char = rest[at]
        if char == "\\":
            escaped = rest[at + 1 : at + 2]
            if escaped in CLASSES:
                inside += CLASSES[escaped]
            elif escaped == "-":
                last = "-"  # only at the end is it no range
            elif escaped in PUNCTUATION and escaped not in "]^[":
                inside += escaped
            else:
                return None, 0
            at += 2
            continue
        if char == "[":
            return None, 0
        inside += char
        at += 1
    if at >= len(rest):
        return None, 0
    return f"[{inside}{last}]", at + 1
