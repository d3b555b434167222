"""History: what was run from this machine, how it ended, and what can be done with it now."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import DataTable, Static

from deiswizard.background import Task, background
from deiswizard.errors import WizardError
from deiswizard.plan.plan import Plan
from deiswizard.run.folders import runs_folder
from deiswizard.run.history import PastRun, all_runs
from deiswizard.run.record import kept_at
from deiswizard.run.replay import final_state
from deiswizard.run.resume import OPEN
from deiswizard.run.state import RunState
from deiswizard.run.undo import undo_plan, why_no_undo
from deiswizard.screens.base import WizardScreen
from deiswizard.screens.panes.history import (
    COLUMNS,
    cells,
    counted_runs,
    details,
    here_first,
    is_here,
)
from deiswizard.screens.recommendation import GOING_ON, RecommendationScreen
from deiswizard.screens.replay import ReplayScreen
from deiswizard.screens.widgets.cursor import PointedTable
from deiswizard.vocabulary import RunStatus

RICH_STYLES = {
    RunStatus.DONE: "green",
    RunStatus.FAILED: "bold red",
    RunStatus.RUNNING: "bold",
    RunStatus.NEEDS_DECISION: "yellow",
    RunStatus.STOPPED: "yellow",
    RunStatus.REFUSED: "yellow",
    RunStatus.INTERRUPTED: "yellow",
}
LIST_SECONDS = 2.0
"""How often the journals are read again while a run is going on."""

EMPTY = """\

Nothing was run from this machine yet.

Go back (esc), open a recommendation (enter), look at its preview, and run it. \
Every run then stands here: how it ended, what it did, and how to take it back."""


class HistoryScreen(WizardScreen):
    """A table of runs, and the story of the one under the cursor. All reading is done in threads."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "undo", "take it back: shows the plan first", id="history-undo"),
        Binding("c", "continue", "go on with it, or follow it", id="history-continue"),
        Binding("v", "replay", "see it again", id="history-replay"),
        Binding("y", "copy", "copy where its record is", id="history-copy"),
        Binding("tab", "turn", "to the details, and back to the table", id="history-turn"),
        Binding("escape", "back", "back", id="history-back"),
        Binding("j", "cursor(1)", "down", show=False, id="history-down"),
        Binding("k", "cursor(-1)", "up", show=False, id="history-up"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._listing: Task[tuple[PastRun, ...]] | None = None
        self._listed_at = 0.0
        self._runs: tuple[PastRun, ...] | None = None
        self._here = 0
        self._rows: list[tuple[str, ...]] = []
        self._rests_on: PastRun | None = None
        self._reading: tuple[PastRun, Task[RunState]] | None = None
        self._read: tuple[PastRun, RunState | str] | None = None
        self._is_stale = False
        self._painted: tuple[object, ...] = ()
        self._undoing: Task[Plan] | None = None

    def body(self) -> ComposeResult:
        """How many there are; the table; below or beside it the details of one run."""
        yield Static("", id="history-state", markup=False)
        with Container(id="history"):
            yield PointedTable(id="runs", cursor_type="row", cell_padding=0)
            with VerticalScroll(id="past-run"):
                yield Static("", id="past-run-text", markup=False)

    def on_mount(self) -> None:
        """The table has the keys."""
        self._table.focus()
        super().on_mount()

    def on_screen_resume(self) -> None:
        """At first, and when something may have been run meanwhile."""
        self._list()

    @property
    def _table(self) -> DataTable[Text]:
        return self.query_one("#runs", DataTable)

    @property
    def highlighted(self) -> PastRun | None:
        """The run under the cursor."""
        return self._runs[max(0, self._table.cursor_row)] if self._runs and self._rows else None

    def keys(self) -> list[tuple[str, str]]:
        """What can be done with the run under the cursor, as far as it is known."""
        end = [("esc", "back"), ("?", "help"), ("q", "quit")]
        run = self.highlighted
        if run is None:
            return end
        keys = [("v", "see again"), ("y", "copy path"), *end]
        if run.status in (*OPEN, *GOING_ON):
            keys.insert(0, ("c", "follow" if run.status in GOING_ON else "continue"))
        state = self._read[1] if self._read and self._read[0].run == run.run else None
        can_be_undone = isinstance(state, RunState) and why_no_undo(state) is None
        if can_be_undone and is_here(run, self.wizard.snapshot):
            keys.insert(0, ("u", "undo"))
        return keys

    def pump(self) -> None:
        """Take what the threads have read, then paint what changed."""
        is_due = self.wizard.clock() - self._listed_at >= LIST_SECONDS
        if is_due and any(run.status in GOING_ON for run in self._runs or ()):
            self._list()
        self._take_list()
        self._show_table()
        self._read_on()
        self._show_details()
        self._take_undo()

    def _list(self) -> None:
        if self._listing is None:
            self._listed_at = self.wizard.clock()
            self._listing = background(all_runs, name="history")

    def _take_list(self) -> None:
        task = self._listing
        if task is None or not task.done:
            return
        self._listing = None
        try:
            found = task.result()
        except OSError as error:
            found = ()
            self.notify(f"{runs_folder()}: {error.strerror}", severity="error", markup=False)
        before = self.highlighted
        self._runs, self._here = here_first(found, self.wizard.snapshot)
        self._is_stale = before is not None and before.status in GOING_ON
        self._show_table(before)

    def _show_table(self, before: PastRun | None = None) -> None:
        """Made again only when a row or the room has changed; the cursor stays on its run."""
        runs, table, wizard = self._runs or (), self._table, self.wizard
        before = before or self.highlighted
        room = table.size.width or self.app.size.width
        rows = [cells(run, wizard.clock(), room, wizard.symbols) for run in runs]
        if rows == self._rows:
            return
        self._rows = rows
        names = [run.run for run in runs]
        table.clear(columns=True)
        for label, cell in zip(COLUMNS, rows[0] if rows else COLUMNS, strict=True):
            table.add_column(Text(f" {label}".ljust(len(cell))))
        for number, (run, row) in enumerate(zip(runs, rows, strict=True)):
            other = "dim" if number >= self._here > 0 else ""
            table.add_row(
                *(
                    Text(cell, style=other or (RICH_STYLES.get(run.status, "") if n == 2 else ""))
                    for n, cell in enumerate(row)
                ),
                key=run.run,
            )
        if before is not None and before.run in names:
            table.move_cursor(row=names.index(before.run))

    def _read_on(self) -> None:
        """Read the journal of the run on which the cursor rests, one at a time."""
        run = self.highlighted
        if self._reading is not None and self._reading[1].done:
            (of, task), self._reading = self._reading, None
            try:
                self._read = (of, task.result())
            except WizardError as error:
                self._read = (of, str(error))
        rested, self._rests_on = self._rests_on, run
        if run is None or rested is None or rested.run != run.run or self._reading is not None:
            return
        if self._read is None or self._read[0] != run or self._is_stale:
            self._is_stale = False
            folder = runs_folder() / run.run
            self._reading = (run, background(lambda: final_state(folder), name="past-run"))

    def _show_details(self) -> None:
        runs, run, read = self._runs, self.highlighted, self._read
        wizard, pane = self.wizard, self.query_one("#past-run")
        room = max(20, pane.size.width - 3)
        is_read = run is not None and read is not None and read[0].run == run.run
        painted = (runs, run and run.run, read if is_read else None, room, wizard.snapshot)
        if painted == self._painted:
            return
        self._painted = painted
        self.query_one("#history").display = bool(runs)
        heading = counted_runs(len(runs), self._here) if runs else "reading the journals"
        words = (
            Content(EMPTY) if runs == () else Content.assemble(("History", "bold"), f"   {heading}")
        )
        self.query_one("#history-state", Static).update(words)
        text = Content("reading its journal")
        if run is not None and read is not None and is_read:
            text = (
                Content(read[1])
                if isinstance(read[1], str)
                else details(
                    read[1], kept_at(runs_folder() / run.run), is_here(run, wizard.snapshot), room
                )
            )
        self.query_one("#past-run-text", Static).update(text)
        self.refresh_bars()

    @on(DataTable.RowHighlighted)
    def _moved(self) -> None:
        self.query_one("#past-run").scroll_home(animate=False)
        self._show_details()

    @on(DataTable.RowSelected)
    def action_turn(self) -> None:
        """The keys go to the details, or back to the table."""
        self.query_one("#past-run" if self._table.has_focus else "#runs").focus()

    def action_cursor(self, by: int) -> None:
        """J and k."""
        self._table.move_cursor(row=self._table.cursor_row + by)

    @property
    def _folder(self) -> Path | None:
        """The folder of the run under the cursor."""
        run = self.highlighted
        return None if run is None else runs_folder() / run.run

    def action_undo(self) -> None:
        """Make the plan that takes it back, from the last look, in a thread."""
        folder, snapshot = self._folder, self.wizard.snapshot
        if folder is None or self._undoing is not None:
            return
        if snapshot is None:
            self._refuse("the cluster was not looked at yet: press r on the overview")
            return
        self._undoing = background(lambda: undo_plan(final_state(folder), snapshot), name="undo")

    def _take_undo(self) -> None:
        """The plan opens in its preview; a refusal is told."""
        task = self._undoing
        if task is None or not task.done:
            return
        self._undoing = None
        try:
            plan = task.result()
            self.app.push_screen(RecommendationScreen(plan.recommendation, plan=plan))
        except WizardError as error:
            self._refuse(f"{error}; {error.do}" if error.do else str(error))

    def _refuse(self, why: str) -> None:
        self.notify(why, severity="warning", markup=False)

    def action_continue(self) -> None:
        """Go on with a run that has not come to its end."""
        run, folder = self.highlighted, self._folder
        if run is None or folder is None or self._opens_own():
            return
        if run.status not in (*OPEN, *GOING_ON):
            self._refuse(f"this run is {run.status}: there is nothing to go on with")
            return
        self.wizard.continue_run(folder)

    def action_replay(self) -> None:
        """See it again; the run that goes on here is seen as it goes."""
        folder = self._folder
        if folder is not None and not self._opens_own():
            self.app.push_screen(ReplayScreen(folder))

    def _opens_own(self) -> bool:
        """The run under the cursor goes on in this wizard: it is shown."""
        handle, run = self.wizard.run_handle, self.highlighted
        is_own = handle is not None and run is not None and handle.id == run.run
        if is_own and self.wizard.run_goes_on:
            self.wizard.open_run()
            return True
        return False

    def action_copy(self) -> None:
        """Its record, or its folder where it has none."""
        if self._folder is not None:
            path = str(kept_at(self._folder))
            self.app.copy_to_clipboard(path)
            self.notify(f"copied, where the terminal allows it: {path}", markup=False)

    def action_back(self) -> None:
        """To where it was opened."""
        self.dismiss(None)
