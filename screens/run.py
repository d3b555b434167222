"""Run: live panes over the run state, pulled five times a second."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from deiswizard.screens.engine import RunLike
from deiswizard.screens.panes.log import LogFeed
from deiswizard.screens.panes.progress import Row, card, overall
from deiswizard.screens.panes.views import COMMON, views_of
from deiswizard.screens.theme import Symbols
from deiswizard.screens.widgets.bars import tabs
from deiswizard.screens.widgets.tail import Tail

LOG_LINES = 5_000
PLACES = ("first", "second", "third")
"""Where views are painted: one at a time, or side by side where the terminal is wide enough."""


class RunPane(Container):
    """Overall bar; the views of the run; the card of a failure; the log's tail."""

    def __init__(self, symbols: Symbols) -> None:
        super().__init__(id="run", classes="-first")
        self._symbols = symbols
        self._shown: dict[str, list[Row]] = {}
        self._tabs: Content | None = None
        self._feed = LogFeed()
        self._run: RunLike | None = None
        self._views = COMMON
        self._place = 0
        self.chosen = 0

    def compose(self) -> ComposeResult:
        """From the sum to the detail."""
        yield Static("", id="overall", markup=False)
        yield Static("", id="run-views", markup=False)
        with Horizontal(id="panes"):
            yield Static("", id="first", markup=False)
            with Vertical(id="side"):
                yield Static("", id="second", markup=False)
                yield Static("", id="third", markup=False)
        yield Static("", id="card", markup=False)
        yield Tail(id="tail", max_lines=LOG_LINES, highlight=False)

    def follow(self, run: RunLike) -> None:
        """Show this run from its beginning."""
        self._run = run
        self._views = views_of(run.plan)
        self._go_to(0)
        self.set_class(len(self._views) < len(PLACES), "-two-views")
        self._feed = LogFeed()
        self.query_one(Tail).clear().follow()

    def pump(self, now: float) -> None:
        """Repaint what changed."""
        run = self._run
        if run is None:
            return
        state = run.hub.state
        plan = state.plan or run.plan
        width = max(20, self.size.width)
        failure = card(plan, state, self.chosen, width - 4)
        self.query_one("#card").display = bool(failure)
        self.set_class(bool(failure), "-deciding")
        self._show("overall", overall(state, now, width, self._symbols))
        self._show("card", failure)
        shown = 0
        for place, view in zip(PLACES, self._views.values(), strict=False):
            static = self.query_one(f"#{place}")
            if static.region.height:
                shown += 1
                width, height = max(20, static.size.width), max(3, static.size.height)
                self._show(place, view(plan, state, width, height, self._symbols))
        self._show_tabs(shown > 1)
        if lines := self._feed.new_lines(run.hub):
            self.query_one(Tail).write_lines(lines)

    def _show(self, name: str, lines: list[Row]) -> None:
        if self._shown.get(name) == lines:
            return
        self._shown[name] = lines
        parts: list[str | tuple[str, str]] = []
        for number, (text, style) in enumerate(lines):
            end = "\n" if number < len(lines) - 1 else ""
            parts.append((text + end, style) if style else text + end)
        self.query_one(f"#{name}", Static).update(Content.assemble(*parts))

    def _show_tabs(self, shows_all: bool) -> None:
        names = {name: name.capitalize() for name in self._views}
        content = (
            Content(f" {', '.join(names)}") if shows_all else tabs(names, [*names][self._place])
        )
        if content != self._tabs:
            self._tabs = content
            self.query_one("#run-views", Static).update(content)

    def turn(self) -> None:
        """The next view."""
        self._go_to((self._place + 1) % len(self._views))

    def _go_to(self, place: int) -> None:
        self.remove_class(f"-{PLACES[self._place]}")
        self._place = place
        self.add_class(f"-{PLACES[place]}")

    def maximise(self) -> None:
        """Give the log the whole pane, or back."""
        self.toggle_class("-log-only")
