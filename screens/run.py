"""Run: live panes over the run state, pulled five times a second."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widgets import Log, Static

from deiswizard.screens.engine import RunLike
from deiswizard.screens.panes.log import LogFeed
from deiswizard.screens.panes.progress import Row, card, overall, problems, rows
from deiswizard.screens.theme import Symbols

LOG_LINES = 5_000


class RunPane(Container):
    """Overall bar, steps and pulls, the card of a failure, the log's tail."""

    def __init__(self, symbols: Symbols) -> None:
        super().__init__(id="run")
        self._symbols = symbols
        self._shown: dict[str, list[Row]] = {}
        self._feed = LogFeed()
        self._run: RunLike | None = None
        self.chosen = 0

    def compose(self) -> ComposeResult:
        """From the sum to the detail."""
        yield Static("", id="overall", markup=False)
        yield Static("", id="rows", markup=False)
        yield Static("", id="card", markup=False)
        yield Log(id="tail", max_lines=LOG_LINES, highlight=False)

    def follow(self, run: RunLike) -> None:
        """Show this run from its beginning."""
        self._run = run
        self._feed = LogFeed()
        self.query_one(Log).clear()

    def pump(self, now: float) -> None:
        """Repaint what changed."""
        run = self._run
        if run is None:
            return
        state = run.hub.state
        plan = state.plan or run.plan
        width = max(20, self.size.width)
        failure = card(plan, state, self.chosen) if problems(plan, state) else []
        self.query_one("#card").display = bool(failure)
        self.set_class(bool(failure), "-deciding")
        self._show("overall", overall(state, now, width, self._symbols))
        self._show("card", failure)
        height = max(3, self.query_one("#rows").size.height)
        self._show("rows", rows(plan, state, width, height, self._symbols))
        lines = self._feed.new_lines(run.hub)
        if lines:
            self.query_one(Log).write_lines(lines)

    def _show(self, name: str, lines: list[Row]) -> None:
        if self._shown.get(name) == lines:
            return
        self._shown[name] = lines
        parts: list[str | tuple[str, str]] = []
        for number, (text, style) in enumerate(lines):
            end = "\n" if number < len(lines) - 1 else ""
            parts.append((text + end, style) if style else text + end)
        self.query_one(f"#{name}", Static).update(Content.assemble(*parts))

    def maximise(self) -> None:
        """Give the log the whole pane, or back."""
        self.toggle_class("-log-only")
