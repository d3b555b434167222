"""For terminals that show nothing beyond ASCII: the last thing done to every line painted."""

from __future__ import annotations

from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

LOOKALIKES = {
    **dict.fromkeys("─━═▁▔", "-"),
    **dict.fromkeys("│┃║▌▐▏▕▎▍", "|"),
    **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼╔╗╚╝", "+"),
    **dict.fromkeys("█▇▆▅▄▃▂▉▊▋", "#"),
    **dict.fromkeys("░▒▓", "."),
    "✓": "v", "✗": "X", "▶": ">", "▼": "v", "▲": "^", "●": "*", "○": "o", "■": "#",
    "…": ".", "–": "-", "—": "-", "·": ".", "•": "*", "↑": "^", "↓": "v", "←": "<", "→": ">",
    "⏎": "<", "‘": "'", "’": "'", "“": '"', "”": '"', "\N{NO-BREAK SPACE}": " ",
}  # fmt: skip


@lru_cache(4096)
def in_ascii(text: str) -> str:
    """``text`` in as many cells, all of them ASCII; what has no lookalike is ``?``."""
    if text.isascii():
        return text
    return "".join(
        char if char.isascii() else LOOKALIKES.get(char) or "?" * cell_len(char) for char in text
    )


class AsciiOnly(LineFilter):
    """Textual's own borders, bars and ticks too, not only the marks that we choose."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same cells and styles."""
        return [Segment(in_ascii(text), style, control) for text, style, control in segments]
