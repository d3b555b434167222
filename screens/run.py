"""Run: live panes over the run state, pulled five times a second."""

from __future__ import annotations

from typing import Literal, get_args

from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.widgets import Log, Static

from deiswizard.screens.engine import RunLike
from deiswizard.screens.panes.hosts import host_rows, image_rows
from deiswizard.screens.panes.log import LogFeed
from deiswizard.screens.panes.progress import Row, card, overall, rows
from deiswizard.screens.theme import Symbols
from deiswizard.screens.widgets.bars import tabs

LOG_LINES = 5_000
View = Literal["steps", "hosts", "images"]
VIEWS: tuple[View, ...] = get_args(View)
PANES = {"steps": rows, "hosts": host_rows, "images": image_rows}


class RunPane(Container):
    """Overall bar; steps, hosts and images; the card of a failure; the log's tail.

    One of the three in the middle is shown, all of them where the terminal is wide enough.
    """

    def __init__(self, symbols: Symbols) -> None:
        super().__init__(id="run", classes="-steps")
        self._symbols = symbols
        self._shown: dict[str, list[Row]] = {}
        self._tabs: Content | None = None
        self._feed = LogFeed()
        self._run: RunLike | None = None
        self._log_size = 0
        self.view: View = "steps"
        self.chosen = 0

    def compose(self) -> ComposeResult:
        """From the sum to the detail."""
        yield Static("", id="overall", markup=False)
        yield Static("", id="run-views", markup=False)
        with Horizontal(id="panes"):
            yield Static("", id="steps", markup=False)
            with Vertical(id="side"):
                yield Static("", id="hosts", markup=False)
                yield Static("", id="images", markup=False)
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
        failure = card(plan, state, self.chosen, width - 4)
        self.query_one("#card").display = bool(failure)
        self.set_class(bool(failure), "-deciding")
        self._show("overall", overall(state, now, width, self._symbols))
        self._show("card", failure)
        shown = [view for view in VIEWS if self.query_one(f"#{view}").region.height]
        for view in shown:
            size = self.query_one(f"#{view}").size
            lines = PANES[view](
                plan, state, max(20, size.width), max(3, size.height), self._symbols
            )
            self._show(view, lines or [(" nothing to show here in this run", "dim")])
        self._show_tabs(len(shown) > 1)
        self._follow_log(run)

    def _follow_log(self, run: RunLike) -> None:
        log = self.query_one(Log)
        lines = self._feed.new_lines(run.hub)
        if lines:
            log.write_lines(lines)
        elif self._log_size != log.size.height:
            log.scroll_end(animate=False)
        self._log_size = log.size.height

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
        names: dict[str, str] = {view: view.capitalize() for view in VIEWS}
        content = Content(" steps; hosts and images") if shows_all else tabs(names, self.view)
        if content != self._tabs:
            self._tabs = content
            self.query_one("#run-views", Static).update(content)

    def turn(self) -> None:
        """The next of steps, hosts, images."""
        self.remove_class(f"-{self.view}")
        self.view = VIEWS[(VIEWS.index(self.view) + 1) % len(VIEWS)]
        self.add_class(f"-{self.view}")

    def maximise(self) -> None:
        """Give the log the whole pane, or back."""
        self.toggle_class("-log-only")
