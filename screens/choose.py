"""Choose: the form, and beside it what the highlighted option does."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from deiswizard.answers import first_values, judged
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.base import Choices, Problem, Recommendation
from deiswizard.screens.text import clean
from deiswizard.screens.theme import Symbols
from deiswizard.screens.widgets.form import FieldView


class ChoosePane(Container):
    """Holds raw values until they make valid choices."""

    def __init__(
        self, recommendation: Recommendation, snapshot: Snapshot, symbols: Symbols
    ) -> None:
        super().__init__(id="choose")
        self.recommendation = recommendation
        self._snapshot = snapshot
        self._symbols = symbols
        self.choices: Choices | None = None
        self.problems: tuple[Problem, ...] = ()
        self._raw = first_values(recommendation, snapshot)

    def compose(self) -> ComposeResult:
        """Fields left, explanation right (below on a narrow terminal)."""
        with VerticalScroll(id="fields", can_focus=False):
            for field in self.recommendation.fields:
                yield FieldView(field, self._snapshot, self._raw[field.name], self._symbols)
        with VerticalScroll(id="explain", can_focus=False):
            yield Static("", id="explain-title", markup=False)
            yield Static("", id="explain-words", markup=False)

    def on_mount(self) -> None:
        """Judge the first values."""
        self.call_after_refresh(self.validate)

    def focus_first(self) -> None:
        """The cursor into the first field, unless a quick hand has moved it into another already."""
        focused = self.screen.focused
        first = next((view for view in self.query(FieldView) if view.display), None)
        if first and (focused is None or self not in focused.ancestors):
            first.focus_first()

    def focus_field(self, name: str) -> None:
        """The cursor into the field of that name, if it is shown and the cursor is not in it."""
        focused = self.screen.focused
        view = next((v for v in self.query(FieldView) if v.display and v.field.name == name), None)
        if view is not None and (focused is None or view not in focused.ancestors):
            view.focus_first()

    @on(FieldView.Changed)
    def validate(self) -> None:
        """Judge all fields; each problem is told below its field."""
        views = list(self.query(FieldView))
        raw = {**self._raw, **{view.field.name: view.value for view in views}}
        for view in views:
            view.display = view.field.shown is None or view.field.shown(self._snapshot, raw)
            view.add_up(raw)
        self.choices, problems = judged(self.recommendation, self._snapshot, raw)
        self.problems = problems
        names = {view.field.name for view in views if view.display}
        first = next(view for view in views if view.display)
        for view in views:
            mine = [p for p in problems if p.field == view.field.name]
            if view is first:
                mine += [p for p in problems if p.field not in names]
            view.tell(mine)

    @on(FieldView.Explained)
    def _explained(self, event: FieldView.Explained) -> None:
        """Of the field that the cursor is in: what another had to say may come late."""
        focused = self.screen.focused
        if focused is None or event.field not in focused.ancestors:
            return
        self.query_one("#explain-title", Static).update(Content(clean(event.title)))
        words = "\n".join(clean(line) for line in event.words.split("\n"))
        self.query_one("#explain-words", Static).update(Content(words))
