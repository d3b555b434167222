"""A form generated from a recommendation's declaration."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList, SelectionList, Static
from textual.widgets.option_list import Option as ListOption
from textual.widgets.selection_list import Selection

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.base import FormField, Option, Problem
from deiswizard.screens.text import clean
from deiswizard.screens.theme import Symbols


class TickList(SelectionList[str]):
    """Space ticks; enter is left to the page."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "screen.next", "next", show=False),
        Binding("space", "select", "tick or untick"),
    ]


class RadioList(OptionList):
    """Moving chooses; enter is left to the page."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "screen.next", "next", show=False),
    ]


class FieldView(Vertical):
    """One field: label, the widget that asks, and the line that says what is wrong."""

    class Changed(Message):
        """The value may be another now."""

    class Explained(Message):
        """The operator looks at something that has an explanation."""

        def __init__(self, title: str, words: str) -> None:
            super().__init__()
            self.title = title
            self.words = words

    def __init__(self, field: FormField, snapshot: Snapshot, value: Any, symbols: Symbols) -> None:
        super().__init__(classes="field", id=f"field-{field.name}")
        self.field = field
        self._options = tuple(field.options(snapshot)) if field.options else ()
        self._value = value
        self._symbols = symbols

    def compose(self) -> ComposeResult:
        """By the field's kind."""
        yield Static(Content(self.field.label), classes="label", markup=False)
        match self.field.kind:
            case "many":
                chosen = set(self._value or ())
                yield TickList(
                    *(
                        Selection(
                            self._row(option),
                            option.value,
                            option.value in chosen and option.enabled,
                            disabled=not option.enabled,
                        )
                        for option in self._options
                    )
                )
            case "one":
                yield RadioList(*self._radio_rows(str(self._value)), markup=False)
            case _:
                text = " ".join(self._value) if self.field.kind == "list" else str(self._value)
                yield Input(
                    value=text,
                    placeholder=self.field.placeholder,
                    password=self.field.kind == "secret",
                    compact=True,
                )
        yield Static("", classes="error", markup=False)

    def on_mount(self) -> None:
        """The chosen radio row is under the cursor; no line for no error."""
        self.query_one(".error", Static).display = False
        if self.field.kind == "one":
            values = [option.value for option in self._options]
            if str(self._value) in values:
                self.query_one(RadioList).highlighted = values.index(str(self._value))

    def _row(self, option: Option) -> Content:
        parts: list[str | tuple[str, str]] = [f"{clean(option.label)}   {clean(option.note)}"]
        if option.warning:
            mark = self._symbols.warning if option.enabled else self._symbols.failed
            parts.append((f"  {mark} {clean(option.warning)}", "$warning"))
        return Content.assemble(*parts)

    def _radio_rows(self, chosen: str) -> list[ListOption]:
        rows = []
        for option in self._options:
            mark = "(*)" if option.value == chosen else "( )"
            parts: list[str | tuple[str, str]] = [f"{mark} {clean(option.label)}"]
            if option.recommended:
                parts.append(("   recommended", "$success"))
            if option.warning:
                parts.append((f"   {self._symbols.warning} {clean(option.warning)}", "$warning"))
            rows.append(ListOption(Content.assemble(*parts), id=option.value))
        return rows

    @property
    def value(self) -> Any:
        """The raw value, as the choices model would read it."""
        match self.field.kind:
            case "many":
                ticked = set(self.query_one(TickList).selected)
                return [option.value for option in self._options if option.value in ticked]
            case "one":
                return self._value
            case "list":
                return self.query_one(Input).value.replace(",", " ").split()
            case "number":
                text = self.query_one(Input).value.strip()
                return int(text) if text.lstrip("-").isdecimal() else text
            case _:
                return self.query_one(Input).value

    def tell(self, problems: list[Problem]) -> None:
        """What is wrong and what is allowed, directly below the field; first those that block."""
        line = self.query_one(".error", Static)
        ranked = sorted(problems, key=lambda problem: not problem.blocks)
        parts: list[str | tuple[str, str]] = []
        for problem in ranked[:2]:
            allowed = f"; allowed: {problem.allowed}" if problem.allowed else ""
            style = "bold $error" if problem.blocks else "$warning"
            mark = self._symbols.failed if problem.blocks else self._symbols.warning
            parts.append((f"{mark} {clean(problem.what)}{clean(allowed)}\n", style))
        if len(ranked) > 2:
            parts.append((f"and {len(ranked) - 2} more", "dim"))
        line.display = bool(parts)
        line.update(Content.assemble(*parts).rstrip())

    def focus_first(self) -> None:
        """Put the cursor into this field."""
        for kind in (TickList, RadioList, Input):
            for widget in self.query(kind):
                widget.focus()

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if self.field.kind != "one" or event.option_id is None:
            return
        if event.option_id != self._value:
            self._value = event.option_id
            radio = self.query_one(RadioList)
            for index, row in enumerate(self._radio_rows(event.option_id)):
                radio.replace_option_prompt_at_index(index, row.prompt)
            self.post_message(self.Changed())
        self._explain(next(o for o in self._options if o.value == event.option_id))

    @on(SelectionList.SelectionHighlighted)
    def _looked_at(self, event: SelectionList.SelectionHighlighted[str]) -> None:
        self._explain(next(o for o in self._options if o.value == event.selection.value))

    @on(SelectionList.SelectedChanged)
    @on(Input.Changed)
    def _edited(self) -> None:
        self.post_message(self.Changed())

    def _explain(self, option: Option) -> None:
        words = "\n\n".join(
            part for part in (option.explain, option.warning, self.field.explain) if part
        )
        self.post_message(self.Explained(option.label, words))

    def on_descendant_focus(self) -> None:
        """What this field is about."""
        if self.field.kind not in ("one", "many"):
            self.post_message(self.Explained(self.field.label, self.field.explain))
