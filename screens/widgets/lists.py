"""Lists to tick and to choose from; the mark is text, so that it shows without colour and copies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option as ListOption

from deiswizard.recommendations.base import Option
from deiswizard.screens.text import clean
from deiswizard.screens.theme import Symbols
from deiswizard.screens.widgets.cursor import PointedList


class MarkedList(PointedList):
    """A row for each option, a mark before it. Enter is left to the page."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "screen.next", "next", show=False),
    ]
    CHOSEN, NOT_CHOSEN = "", ""

    class Changed(Message):
        """Other options are chosen now."""

    def __init__(self, options: Iterable[Option], chosen: Iterable[str], symbols: Symbols) -> None:
        self.known = {option.value: option for option in options}
        usable = {value for value, option in self.known.items() if option.enabled}
        self.chosen = set(chosen) & usable
        self._symbols = symbols
        super().__init__(
            *(ListOption(self._row(v), id=v) for v in self.known), markup=False, classes="asks"
        )

    def on_mount(self) -> None:
        """The cursor begins on the first that is chosen."""
        values = list(self.known)
        self.highlighted = next((n for n, v in enumerate(values) if v in self.chosen), 0)

    def _row(self, value: str) -> Content:
        option = self.known[value]
        mark = self.CHOSEN if value in self.chosen else self.NOT_CHOSEN
        label = f"{clean(option.label)}   {clean(option.note)}".rstrip()
        parts: list[str | tuple[str, str]] = [(f"{mark} {label}", "" if option.enabled else "dim")]
        if option.recommended:
            parts.append(("   recommended", "$success"))
        if option.warning:
            mark = self._symbols.warning if option.enabled else self._symbols.failed
            parts.append((f"   {mark} {clean(option.warning)}", "$warning"))
        return Content.assemble(*parts)

    def choose(self, values: set[str]) -> None:
        """Choose exactly these, and say so when that is new."""
        if values == self.chosen:
            return
        self.chosen = values
        for index, value in enumerate(self.known):
            self.replace_option_prompt_at_index(index, self._row(value))
        self.post_message(self.Changed())


class TickList(MarkedList):
    """Space or a click ticks; ``a`` ticks all or none."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "select", "tick or untick"),
        Binding("a", "all", "tick all or none"),
    ]
    CHOSEN, NOT_CHOSEN = "[x]", "[ ]"

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Turn one; what cannot be chosen stays as it is."""
        event.stop()
        value = event.option_id or ""
        if self.known[value].enabled:
            self.choose(self.chosen ^ {value})

    def action_all(self) -> None:
        """All that can be ticked, or none of them."""
        usable = {value for value, option in self.known.items() if option.enabled}
        self.choose(set() if usable <= self.chosen else usable)


class RadioList(MarkedList):
    """Moving chooses."""

    CHOSEN, NOT_CHOSEN = "(*)", "( )"

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Where the cursor is, the choice is."""
        if event.option_id and self.known[event.option_id].enabled:
            self.choose({event.option_id})
