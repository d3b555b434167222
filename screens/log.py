"""The whole log of the run: all hosts or one, filtered, following."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, Static

from deiswizard.screens.base import WizardScreen
from deiswizard.screens.panes.log import LogFeed
from deiswizard.screens.widgets.tail import Tail


class LogScreen(WizardScreen):
    """esc goes back; the files hold every line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", id="log-back"),
        Binding("f", "follow", "follow", id="follow"),
        Binding("h", "host", "next host", id="log-host"),
        Binding("slash", "filter", "filter", id="filter"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._feed = LogFeed()
        self._hosts: list[str] = [""]
        self._host = 0
        self._words = ""

    def body(self) -> ComposeResult:
        """Where it is, a filter when asked for, the lines."""
        yield Static("", id="log-where", markup=False)
        yield Input(
            placeholder="only lines that hold this; enter keeps it, empty shows all", id="filter"
        )
        yield Tail(id="log-lines", max_lines=20_000, highlight=False)

    def on_mount(self) -> None:
        """Everything so far at once."""
        self.query_one("#filter", Input).display = False
        run = self.wizard.run_handle
        if run is not None:
            self._hosts = ["", *dict.fromkeys(step.host for step in run.plan.steps if step.host)]
        tail = self.query_one(Tail)
        tail.focus()
        super().on_mount()
        self.watch(tail, "follows", self.refresh_bars, init=False)

    def keys(self) -> list[tuple[str, str]]:
        """What can be done here."""
        word = "stop following" if self.query_one(Tail).follows else "follow"
        return [
            ("f", word),
            ("h", "next host"),
            ("/", "filter"),
            ("esc", "back"),
            ("?", "help"),
            ("q", "quit"),
        ]

    def pump(self) -> None:
        """One batch of new lines."""
        run = self.wizard.run_handle
        if run is None:
            return
        if lines := self._feed.new_lines(run.hub, self._hosts[self._host], self._words):
            self.query_one(Tail).write_lines(lines)
        which = self._hosts[self._host] or "all hosts"
        only = f"   only '{self._words}'" if self._words else ""
        self.query_one("#log-where", Static).update(
            Content(f" log: {which}{only}   files: {run.folder}")
        )

    def _start_over(self) -> None:
        self._feed = LogFeed()
        self.query_one(Tail).clear()
        self.pump()

    def action_follow(self) -> None:
        """Follow the end, or stay."""
        tail = self.query_one(Tail)
        tail.follow(not tail.follows)

    def action_host(self) -> None:
        """The next host's lines only."""
        self._host = (self._host + 1) % len(self._hosts)
        self._start_over()

    def action_filter(self) -> None:
        """Type what lines must hold."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    @on(Input.Submitted, "#filter")
    def _filtered(self, event: Input.Submitted) -> None:
        self._words = event.value
        event.input.display = False
        self.query_one(Tail).focus()
        self._start_over()

    def action_back(self) -> None:
        """To where the log was opened."""
        field = self.query_one("#filter", Input)
        if field.display:
            field.display = False
            self.query_one(Tail).focus()
            return
        self.dismiss(None)
