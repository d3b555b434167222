"""A matrix to tick: a row for each thing, a column for each group that it may belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option as ListOption

from deiswizard.recommendations.base import Option
from deiswizard.screens.text import clean
from deiswizard.screens.theme import Symbols
from deiswizard.screens.widgets.cursor import PointedList

CELL = 9
"""Characters of a column."""

GUTTER = 2
"""Characters before a row: the cursor's mark."""


class MatrixList(PointedList):
    """Arrows move; space or a click ticks; ``a`` ticks a whole column, or none of it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "screen.next", "next", show=False),
        Binding("space", "select", "tick or untick"),
        Binding("left", "column(-1)", "column to the left", show=False),
        Binding("right", "column(1)", "column to the right", show=False),
        Binding("a", "all", "tick the whole column or none of it"),
    ]

    class Changed(Message):
        """Other cells are ticked now."""

    class Turned(Message):
        """The cursor is in another column."""

    def __init__(
        self,
        rows: Sequence[Option],
        columns: Sequence[Option],
        ticked: Mapping[str, Sequence[str]],
        symbols: Symbols,
    ) -> None:
        self.rows = {row.value: row for row in rows}
        self.columns = tuple(column.value for column in columns)
        self.ticked = {row: set(ticked.get(row, ())) for row in self.rows}
        self.column = 0
        self._symbols = symbols
        self.width_of_label = max((len(row.label) for row in rows), default=0) + 1
        super().__init__(
            *(ListOption(self._row(value, is_here=False), id=value) for value in self.rows),
            markup=False,
            classes="asks",
        )

    def on_mount(self) -> None:
        """The cursor begins on the first row."""
        self.highlighted = 0 if self.rows else None
        self._paint()

    def _row(self, value: str, *, is_here: bool) -> Content:
        row = self.rows[value]
        parts: list[str | tuple[str, str]] = [clean(row.label).ljust(self.width_of_label)]
        for number, column in enumerate(self.columns):
            mark = "[x]" if column in self.ticked[value] else "[ ]"
            is_cursor = is_here and number == self.column
            cell = f">{mark}<" if is_cursor else f" {mark} "
            parts += [(cell, "bold" if is_cursor else ""), " " * (CELL - len(cell))]
        if row.warning:
            parts.append((f"{self._symbols.warning} {clean(row.warning)}  ", "$warning"))
        parts.append((clean(row.note), "dim"))
        return Content.assemble(*parts)

    def _paint(self) -> None:
        """Every row anew; the cell under the cursor shows while the list has the keys."""
        for index, value in enumerate(self.rows):
            is_here = self.has_focus and index == self.highlighted
            self.replace_option_prompt_at_index(index, self._row(value, is_here=is_here))

    def watch_has_focus(self, has_focus: bool) -> None:
        """The cell shows from the moment the list has the keys until it has them no more."""
        super().watch_has_focus(has_focus)
        self._paint()

    def on_option_list_option_highlighted(self) -> None:
        """The cell moves with the row."""
        self._paint()

    def action_column(self, by: int) -> None:
        """To the left or the right, not beyond the ends."""
        self.column = min(max(self.column + by, 0), len(self.columns) - 1)
        self._paint()
        self.post_message(self.Turned())

    def on_click(self, event: Click) -> None:
        """A click beside the cells only moves the cursor."""
        at = event.get_content_offset(self)
        cell = -1 if at is None else (at.x - GUTTER - self.width_of_label) // CELL
        if 0 <= cell < len(self.columns):
            self.column = cell
            return
        event.prevent_default()
        index = event.style.meta.get("option")
        if index is not None:
            self.highlighted = index

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Turn the cell under the cursor."""
        event.stop()
        self._turn({event.option_id or ""})

    def action_all(self) -> None:
        """The whole column, or none of it when all are ticked."""
        column = self.columns[self.column]
        bare = {row for row, ticked in self.ticked.items() if column not in ticked}
        self._turn(bare or set(self.rows))

    def _turn(self, rows: set[str]) -> None:
        for row in rows:
            self.ticked[row] ^= {self.columns[self.column]}
        self._paint()
        self.post_message(self.Changed())

    @property
    def value(self) -> dict[str, list[str]]:
        """Row to its ticked columns, both in their order."""
        return {
            row: [c for c in self.columns if c in ticked] for row, ticked in self.ticked.items()
        }


class Matrix(Vertical):
    """The list, its columns' names above, what they add up to and what follows from it below."""

    def __init__(
        self,
        rows: Sequence[Option],
        columns: Sequence[Option],
        value: Mapping[str, Sequence[str]],
        symbols: Symbols,
    ) -> None:
        super().__init__(classes="matrix")
        self.list = MatrixList(rows, columns, value, symbols)
        self._columns = columns

    def compose(self) -> ComposeResult:
        """Top to bottom."""
        names = "".join(f" {column.label}".ljust(CELL) for column in self._columns)
        yield Static(Content(self._indent + names), classes="matrix-names", markup=False)
        yield self.list
        yield Static("", classes="matrix-tallies", markup=False)
        yield Static("", classes="matrix-foot", markup=False)

    @property
    def _indent(self) -> str:
        return " " * (GUTTER + self.list.width_of_label)

    def tell(self, tallies: Sequence[str], foot: Sequence[str]) -> None:
        """What each column adds up to, and lines below."""
        parts: list[Any] = [self._indent]
        for text in tallies:
            is_bad = text.endswith("!")
            parts.append((f" {text}".ljust(CELL), "bold $warning" if is_bad else "$success"))
        self.query_one(".matrix-tallies", Static).update(Content.assemble(*parts))
        lines = self.query_one(".matrix-foot", Static)
        lines.display = bool(foot)
        lines.update(Content("\n".join(f"  {clean(line)}" for line in foot)))
