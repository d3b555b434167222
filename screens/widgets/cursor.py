"""Where the keyboard's cursor is, as a character: colour is never the only signal."""

from __future__ import annotations

from typing import Generic, TypeVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widgets import DataTable, OptionList

MARK = ">"
Cell = TypeVar("Cell")


def marked(line: Strip) -> Strip:
    """The line with the mark in its first column, where that is empty."""
    first = next(iter(line.crop(0, 1)), None)
    if first is None or first.text != " ":
        return line
    return Strip.join([Strip([Segment(MARK, first.style)], 1), line.crop(1)])


class PointedList(OptionList):
    """A list that shows which option the keys are on."""

    def render_line(self, y: int) -> Strip:
        """As it is, with the mark on the option under the cursor."""
        line = super().render_line(y)
        at = self.scroll_offset.y + y
        here = self.has_focus and at < len(self._lines) and self._lines[at][0] == self.highlighted
        return marked(line) if here and self._lines[at][1] == 0 else line


class PointedTable(DataTable[Cell], Generic[Cell]):
    """A table that shows which row the keys are on."""

    def render_line(self, y: int) -> Strip:
        """As it is, with the mark on the row under the cursor."""
        line = super().render_line(y)
        header = self.header_height if self.show_header else 0
        row = y - header + (self.scroll_offset.y if y >= header else 0)
        here = self.has_focus and y >= header and row == self.cursor_row and self.row_count
        return marked(line) if here else line
