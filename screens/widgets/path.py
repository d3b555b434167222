"""A line for the path of a file on this machine, with a picker behind ctrl+o."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Click
from textual.widgets import Input, Static

from deiswizard.screens.modals.files import FilePicker
from deiswizard.screens.text import clean


class PathInput(Input):
    """Typed, pasted or picked."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+o", "pick", "pick a file", id="pick-file"),
    ]

    def __init__(self, title: str, value: str, placeholder: str) -> None:
        super().__init__(value=value, placeholder=placeholder, classes="asks", compact=True)
        self._title = title

    def action_pick(self) -> None:
        """Open the picker at the value's folder."""

        def picked(path: str | None) -> None:
            if path is not None:
                self.value = path
                self.cursor_position = len(path)

        self.app.push_screen(FilePicker(self._title, self.value), picked)


class PathAsked(Vertical):
    """The line, and below it what opens the picker: a key, or a click on these words."""

    def __init__(self, title: str, value: str, placeholder: str) -> None:
        super().__init__(classes="path")
        self._asked = (title, value, placeholder)

    def compose(self) -> ComposeResult:
        """Both."""
        yield PathInput(*self._asked)
        yield Static(Content(clean("ctrl+o picks a file")), classes="picks", markup=False)

    def on_click(self, event: Click) -> None:
        """The words are a button."""
        if event.widget is not None and event.widget.has_class("picks"):
            self.query_one(PathInput).action_pick()
