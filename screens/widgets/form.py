"""A form generated from a recommendation's declaration."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList, Static

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.base import FormField, Option, Problem
from deiswizard.screens.text import clean
from deiswizard.screens.theme import Symbols
from deiswizard.screens.widgets.lists import MarkedList, RadioList, TickList
from deiswizard.screens.widgets.matrix import Matrix, MatrixList
from deiswizard.screens.widgets.path import PathAsked

FLAG = "yes"


def _text(value: Any) -> str:
    """A value as it is typed; of a secret what was typed, not its mask."""
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


class FieldView(Vertical):
    """One field: label, the widget that asks, and the line that says what is wrong."""

    class Changed(Message):
        """The value may be another now."""

    class Explained(Message):
        """The operator looks at something that has an explanation."""

        def __init__(self, field: FieldView, title: str, words: str) -> None:
            super().__init__()
            self.field = field
            self.title = title
            self.words = words

    def __init__(self, field: FormField, snapshot: Snapshot, value: Any, symbols: Symbols) -> None:
        super().__init__(classes="field", id=f"field-{field.name}")
        self.field = field
        self._options = tuple(field.options(snapshot)) if field.options else ()
        self._snapshot = snapshot
        self._foot: tuple[str, ...] = ()
        self._value = value
        self._symbols = symbols

    def compose(self) -> ComposeResult:
        """By the field's kind."""
        if self.field.kind != "flag":
            yield Static(Content(self.field.label), classes="label", markup=False)
        match self.field.kind:
            case "flag":
                option = Option(FLAG, self.field.label, explain=self.field.explain)
                yield TickList((option,), [FLAG] if self._value else [], self._symbols)
            case "path":
                value = str(self._value or "")
                yield PathAsked(self.field.label, value, self.field.placeholder)
            case "matrix":
                yield Matrix(self._options, self.field.columns, self._value or {}, self._symbols)
            case "many":
                yield TickList(self._options, self._value or (), self._symbols)
            case "one":
                yield RadioList(self._options, [str(self._value)], self._symbols)
            case _:
                text = " ".join(self._value) if self.field.kind == "list" else _text(self._value)
                yield Input(
                    classes="asks",
                    value=text,
                    placeholder=self.field.placeholder,
                    password=self.field.kind == "secret",
                    compact=True,
                )
        yield Static("", classes="error", markup=False)

    def on_mount(self) -> None:
        """No line for no error."""
        self.query_one(".error", Static).display = False

    @property
    def value(self) -> Any:
        """The raw value, as the choices model would read it."""
        match self.field.kind:
            case "matrix":
                return self.query_one(MatrixList).value
            case "many":
                ticked = self.query_one(TickList).chosen
                return [option.value for option in self._options if option.value in ticked]
            case "flag":
                return FLAG in self.query_one(TickList).chosen
            case "one":
                return next(iter(self.query_one(RadioList).chosen), self._value)
            case "list":
                return self.query_one(Input).value.replace(",", " ").split()
            case "number":
                text = self.query_one(Input).value.strip()
                return int(text) if text.lstrip("-").isdecimal() else text
            case _:
                return self.query_one(Input).value

    def add_up(self, raw: dict[str, Any]) -> None:
        """What the value comes to, of the raw values of all fields; below a matrix, or told by ``tell``."""
        tallies, foot = self.field.tallies, self.field.foot
        if self.field.kind != "matrix":
            self._foot = tuple(foot(self._snapshot, raw)) if foot else ()
            return
        self.query_one(Matrix).tell(
            tallies(self._snapshot, self.value) if tallies else (),
            foot(self._snapshot, raw) if foot else (),
        )

    def tell(self, problems: list[Problem]) -> None:
        """What it comes to, what is wrong and what is allowed; first problems that block."""
        line = self.query_one(".error", Static)
        ranked = sorted(problems, key=lambda problem: not problem.blocks)
        parts: list[str | tuple[str, str]] = [
            (f"{clean(words)}\n", "$foreground") for words in self._foot
        ]
        for problem in ranked[:2]:
            allowed = f"; allowed: {problem.allowed}" if problem.allowed else ""
            style = "bold $error" if problem.blocks else "$warning"
            mark = self._symbols.failed if problem.blocks else self._symbols.warning
            parts.append((f"{mark} {clean(problem.what)}{clean(allowed)}\n", style))
        if len(ranked) > 2:
            parts.append((f"and {len(ranked) - 2} more", "dim"))
        line.display = bool(parts)
        line.update(Content.assemble(*parts).rstrip())
        if self.has_focus_within:
            self.call_after_refresh(self._show_whole)

    def focus_first(self) -> None:
        """Put the cursor into this field, now."""
        self.screen.set_focus(self.query_one(".asks"))

    def _show_whole(self) -> None:
        """With what is said below it, where the window has room for all of it."""
        within = self.query_ancestor(VerticalScroll)
        if self.size.height <= within.size.height:
            self.scroll_visible(animate=False)

    @on(OptionList.OptionHighlighted)
    def _looked_at(self, event: OptionList.OptionHighlighted) -> None:
        if event.option_list.has_focus:
            self._explain(event.option_id)

    @on(MatrixList.Turned)
    def _turned(self, event: MatrixList.Turned) -> None:
        matrix = self.query_one(MatrixList)
        option = self.field.columns[matrix.column]
        event.stop()
        self.post_message(self.Explained(self, option.label, option.explain))

    @on(MatrixList.Changed)
    @on(MarkedList.Changed)
    @on(Input.Changed)
    def _edited(self) -> None:
        self.post_message(self.Changed())

    def _explain(self, value: str | None) -> None:
        """What a value means; of no value in particular: what the field is about."""
        option = next((o for o in self._options if o.value == value), None)
        told = (option.explain, option.warning) if option else ()
        words = "\n\n".join(dict.fromkeys(part for part in (*told, self.field.explain) if part))
        self.post_message(self.Explained(self, option.label if option else self.field.label, words))

    def on_descendant_focus(self) -> None:
        """Say what the cursor is on."""
        asks = self.query_one(".asks")
        chosen = asks.highlighted_option if isinstance(asks, OptionList) else None
        self._explain(chosen.id if chosen else None)
        self.call_after_refresh(self._show_whole)
