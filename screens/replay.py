"""A run of the past, told again through the panes of a run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from deiswizard.background import Task, background
from deiswizard.errors import WizardError
from deiswizard.run.journal import is_being_written
from deiswizard.run.replay import Replay
from deiswizard.screens.base import WizardScreen
from deiswizard.screens.run import RunPane
from deiswizard.screens.text import cut

LONGEST = 20.0
"""Seconds in which any run is told."""


class ReplayScreen(WizardScreen):
    """Told in a few seconds, or at once; esc goes back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "turn", "next view", show=False, id="replay-turn"),
        Binding("e", "end", "its end at once", id="replay-end"),
        Binding("a", "again", "from the beginning", id="replay-again"),
        Binding("m", "maximise", "maximise the log", id="replay-maximise"),
        Binding("escape", "back", "back", id="replay-back"),
    ]

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._reading: Task[Replay] | None = None
        self._replay: Replay | None = None

    def body(self) -> ComposeResult:
        """Which run and how it is told; the panes of a run."""
        yield Static("", id="flow", markup=False)
        yield RunPane(self.wizard.symbols)

    def on_mount(self) -> None:
        """Begin."""
        self._begin(1.0)
        self.set_focus(self.query_one("#tail"))
        super().on_mount()

    def on_unmount(self) -> None:
        """Nobody listens any more."""
        if self._replay is not None:
            self._replay.stop()

    def _begin(self, speed: float) -> None:
        """Read the journal and tell it from its beginning; 0: at once."""
        if self._replay is not None:
            self._replay.stop()
        self._reading = background(
            lambda: Replay(self._folder, speed, within=LONGEST), name="replay-read"
        )

    def keys(self) -> list[tuple[str, str]]:
        """What can be done here."""
        return [
            ("e", "its end"),
            ("a", "again"),
            ("tab", "view"),
            ("m", "maximise"),
            ("esc", "back"),
            ("?", "help"),
            ("q", "quit"),
        ]

    def pump(self) -> None:
        """Follow what is told; time is that of the journal."""
        pane, task = self.query_one(RunPane), self._reading
        if task is not None and task.done:
            self._reading = None
            try:
                self._replay = task.result()
            except WizardError as error:
                self.notify(str(error), severity="error", markup=False)
                self.dismiss(None)
                return
            pane.follow(self._replay)
            self._replay.start()
        if self._replay is not None:
            pane.pump(self._replay.hub.state.last_at)
        self._show_flow()

    def _show_flow(self) -> None:
        replay = self._replay
        if replay is None or self._reading is not None:
            words = [(" reading the journal", "dim")]
        else:
            state = replay.hub.state
            how = f"{replay.speed:.0f} times as fast" if replay.speed > 1 else "as fast as it was"
            if replay.ended.is_set():
                how = "this is its end"
                if state.finished_at is None:
                    going_on = is_being_written(self._folder)
                    how = "it is going on" if going_on else "its wizard ended here"
            began = time.strftime("%Y-%m-%d %H:%M", time.localtime(state.started_at or 0))
            title = (f" {cut(replay.plan.title, 24)}", "bold")
            words = [title, (f"   replay of {began}   {how}", "")]
        self.query_one("#flow", Static).update(Content.assemble(*words))

    def action_turn(self) -> None:
        """The next view."""
        self.query_one(RunPane).turn()
        self.pump()

    def action_end(self) -> None:
        """Without waiting for the rest."""
        self._begin(0.0)

    def action_again(self) -> None:
        """Once more."""
        self._begin(1.0)

    def action_maximise(self) -> None:
        """Only the log, or all panes."""
        self.query_one(RunPane).maximise()

    def action_back(self) -> None:
        """To where it was opened."""
        self.dismiss(None)
