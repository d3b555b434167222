"""The dialogs: a title, some words, and a few options or one line to type."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from deiswizard.screens.widgets.cursor import PointedList

T = TypeVar("T")


class ChoiceDialog(ModalScreen[T | None], Generic[T]):
    """One of some options; esc answers None. The first option is the default."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "back", id="dialog-back")]

    def __init__(self, title: str, words: str, options: list[tuple[str, T]]) -> None:
        super().__init__()
        self._title = title
        self._words = words
        self._options = options

    def compose(self) -> ComposeResult:
        """A box in the middle."""
        with Vertical(classes="dialog"):
            yield Static(Content(self._title), classes="dialog-title", markup=False)
            with VerticalScroll(classes="dialog-words"):
                yield Static(Content(self._words), id="dialog-said", markup=False)
            yield PointedList(*self._rows(), markup=False)
            yield Static(
                Content("up/down choose   enter take   esc back"),
                classes="dialog-keys",
                markup=False,
            )

    def _rows(self) -> list[Option]:
        return [Option(Content(label), id=str(n)) for n, (label, _) in enumerate(self._options)]

    def on_mount(self) -> None:
        """The default is highlighted."""
        options = self.query_one(OptionList)
        options.focus()
        options.highlighted = 0

    def tell(self, title: str, words: str, options: list[tuple[str, T]]) -> None:
        """Say something else in the same box; repaints only what changed."""
        if title != self._title:
            self._title = title
            self.query_one(".dialog-title", Static).update(Content(title))
        if words != self._words:
            self._words = words
            self.query_one("#dialog-said", Static).update(Content(words))
        if options != self._options:
            self._options = options
            rows = self.query_one(OptionList)
            rows.clear_options()
            rows.add_options(self._rows())
            rows.highlighted = 0

    @on(OptionList.OptionSelected)
    def _take(self, event: OptionList.OptionSelected) -> None:
        self.chosen(self._options[int(event.option_id or 0)][1])

    def chosen(self, choice: T) -> None:
        """An option was taken: the answer."""
        self.dismiss(choice)

    def action_cancel(self) -> None:
        """No choice."""
        self.dismiss(None)


class LineDialog(ModalScreen[str | None]):
    """One line to type; esc answers None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "back", id="line-back")]

    def __init__(
        self, title: str, words: str, *, is_secret: bool = False, needed: str = ""
    ) -> None:
        super().__init__()
        self._title = title
        self._words = words
        self._is_secret = is_secret
        self._needed = needed

    def compose(self) -> ComposeResult:
        """A box in the middle."""
        with Vertical(classes="dialog"):
            yield Static(Content(self._title), classes="dialog-title", markup=False)
            yield Static(Content(self._words), classes="dialog-words", markup=False)
            yield Input(password=self._is_secret)
            yield Static("", id="line-error", classes="error", markup=False)
            yield Static(Content("enter take   esc back"), classes="dialog-keys", markup=False)

    @on(Input.Submitted)
    def _take(self, event: Input.Submitted) -> None:
        if self._needed and event.value != self._needed:
            self.query_one("#line-error", Static).update(Content(f"type exactly: {self._needed}"))
            return
        if not event.value.strip():
            self.query_one("#line-error", Static).update(
                Content("type something, or esc to go back")
            )
            return
        self.dismiss(event.value)

    def action_cancel(self) -> None:
        """Nothing typed."""
        self.dismiss(None)
