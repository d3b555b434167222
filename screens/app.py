"""The application: wires session, screens and the run. It decides nothing and draws nothing."""

from __future__ import annotations

import importlib.resources
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import SecretStr
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.screen import Screen

from deiswizard.background import Task, background
from deiswizard.cluster.asking import ConnectProgress
from deiswizard.cluster.snapshot import Lock, Snapshot
from deiswizard.errors import CancelledError, WizardError
from deiswizard.plan.plan import Plan
from deiswizard.recommendations import catalogue
from deiswizard.recommendations.base import Assessment
from deiswizard.recommendations.preseed.images import release_of
from deiswizard.run.lock import whoami
from deiswizard.run.replay import Replay
from deiswizard.run.resume import Unfinished, newest_unfinished
from deiswizard.screens.ascii_only import AsciiOnly
from deiswizard.screens.base import WizardScreen
from deiswizard.screens.connect import ConnectScreen
from deiswizard.screens.continuing import go_on
from deiswizard.screens.engine import Question, RunLike, ScreenAsker, SessionLike, Start
from deiswizard.screens.history import HistoryScreen
from deiswizard.screens.leaving import Leaving
from deiswizard.screens.log import LogScreen
from deiswizard.screens.modals.dialog import ChoiceDialog, LineDialog
from deiswizard.screens.overview import OverviewScreen
from deiswizard.screens.panes import lock as lock_words
from deiswizard.screens.recommendation import RecommendationScreen
from deiswizard.screens.reporting import Reporting
from deiswizard.screens.text import ago
from deiswizard.screens.theme import ASCII, DARK, LIGHT, UNICODE
from deiswizard.vocabulary import RunStatus

ASSETS = Path(str(importlib.resources.files("deiswizard.assets")))
PUMP_SECONDS = 0.2
GOING_ON = (RunStatus.RUNNING, RunStatus.NEEDS_DECISION)
Looked = tuple[Snapshot, dict[str, Assessment], Unfinished | None]


class WizardApp(App[str]):
    """Everything that outlives a screen: session, snapshot, assessments, the one run."""

    TITLE = "deiswizard"
    CSS_PATH = ASSETS / "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("colon", "command_palette", "commands", show=False, id="commands"),
        Binding("ctrl+c", "say_quit", "", show=False, priority=False),
    ]

    def __init__(
        self,
        *,
        start: Start | None,
        address: str = "",
        open_first: str = "",
        demo: str = "",
        replay: Replay | None = None,
        ascii_only: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.address = address
        self.demo = demo
        self.clock = clock
        self.symbols = ASCII if ascii_only else UNICODE
        self._ascii_only = (AsciiOnly(),) if ascii_only else ()
        self.session: SessionLike | None = None
        self.snapshot: Snapshot | None = None
        self.assessments: Mapping[str, Assessment] = {}
        self.run_handle: RunLike | None = replay
        self.connecting: Task[SessionLike] | None = None
        self.connect_error: WizardError | None = None
        self.look_error: WizardError | None = None
        self.progress: dict[str, ConnectProgress] = {}
        self._start = start
        self._open_first = open_first
        self._replay = replay
        self._asker = ScreenAsker()
        self._looking: Task[Looked] | None = None
        self._asked: Question | None = None
        self._reporting = Reporting()
        self.leaving = Leaving(self)
        self.unfinished: Unfinished | None = None

    def on_mount(self) -> None:
        """Themes, the first screen, the pump."""
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        self.animation_level = "none"
        if self._replay is not None:
            self._replay.start()
            self.push_screen(RecommendationScreen(self._replay.plan.recommendation))
        else:
            self.push_screen(ConnectScreen())
        self.set_interval(PUMP_SECONDS, self.pump)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's own, then ours."""
        return (*super().get_line_filters(), *self._ascii_only)

    @property
    def cluster_title(self) -> str:
        """``deiswizard   prod-eu  5 hosts  Deis v1.13.4``."""
        if self.snapshot is None:
            return f"deiswizard   {self.session.name if self.session else self.address}"
        hosts = len(self.snapshot.hosts)
        release = release_of(self.snapshot)[0] or "release not known"
        return f"deiswizard   {self.snapshot.cluster}  {hosts} hosts  Deis {release}"

    @property
    def demo_text(self) -> str:
        """So that nobody takes a demo for production."""
        return "DEMO" if self.demo else "replay" if self._replay else ""

    @property
    def look_text(self) -> str:
        """How old the last look is."""
        if self.is_looking:
            return "looking (45 s at most)"
        return f"looked {ago(self.snapshot.age(self.clock()))}" if self.snapshot else ""

    @property
    def age_text(self) -> str:
        """The right of most title bars."""
        return "   ".join(part for part in (self.demo_text, self.look_text) if part)

    @property
    def lock_texts(self) -> tuple[str, ...]:
        """Who held the lock at the last look; shorter ways of saying it after the longer.

        The run's own look sees the run's own lock, which is given back right after it.
        """
        run, snapshot = self.run_handle, self.snapshot
        if self.run_goes_on and run is not None and run.hub.state.lock is not None:
            return lock_words.OWN
        if snapshot is None or not snapshot.lock_read:
            return lock_words.UNKNOWN if snapshot else ()
        lock = snapshot.lock
        was_ours = lock and run and (lock.run, lock.owner) == (run.id, whoami())
        return lock_words.FREE if lock is None or was_ours else lock_words.held(lock, self.clock())

    @property
    def is_looking(self) -> bool:
        """A probe is going on."""
        return self._looking is not None

    @property
    def run_goes_on(self) -> bool:
        """A run is going on or waits for a decision."""
        run = self.run_handle
        return run is not None and run.hub.state.status in GOING_ON and not self._replay

    def pump(self) -> None:
        """Pull what the engine has got ready; then let the page repaint, under a dialog too."""
        if not self.is_running:  # the last ticks come while the widgets are being taken away
            return
        self._pump_connection()
        self._pump_look()
        self.leaving.pump()
        if (told := self._reporting.take()) is not None:
            self.notify(told[0], severity="information" if told[1] else "error", markup=False)
        if self._asked is None and (question := self._asker.take()) is not None:
            self._ask(question)
        page = next((s for s in reversed(self.screen_stack) if isinstance(s, WizardScreen)), None)
        if page is not None and page.is_composed:
            page.refresh_bars()
            page.pump()

    def connect(self, address: str) -> None:
        """Connect in a thread of the engine's."""
        if self._start is None or (self.connecting and not self.connecting.done):
            return
        start = self._start
        self.address, self.connect_error, self.progress = address, None, {}

        def on_progress(progress: ConnectProgress) -> None:
            self.progress = {**self.progress, progress.host: progress}

        self.connecting = background(
            lambda: start(address, self._asker, on_progress), name="connect"
        )

    def _pump_connection(self) -> None:
        task = self.connecting
        if task is None or not task.done or self.session is not None:
            return
        try:
            self.session = task.result()
        except WizardError as error:
            self.connect_error = error
            self.connecting = None
            return
        self.look_again()

    def look_again(self) -> None:
        """Probe in a thread of the engine's; assessments are made there too."""
        session = self.session
        if session is None or self._looking is not None:
            return

        def look() -> Looked:
            snapshot = session.look()
            assessments = {r.id: r.assess(snapshot) for r in catalogue.ALL}
            return snapshot, assessments, newest_unfinished(snapshot)

        self._looking = background(look, name="look")

    def _pump_look(self) -> None:
        task = self._looking
        if task is None or not task.done:
            return
        self._looking = None
        try:
            self.snapshot, self.assessments, found = task.result()
            self.unfinished = found if self.run_handle is None else None
            self.look_error = None
        except WizardError as error:
            self.look_error = error
        if isinstance(self.screen, ConnectScreen):
            self.switch_screen(OverviewScreen())
            if self._open_first and self.snapshot is not None:
                self.call_after_refresh(self.open_recommendation, self._open_first)

    def _ask(self, question: Question) -> None:
        """Show a question of the engine's; its thread goes on with the answer."""
        self._asked = question

        def answered(reply: object) -> None:
            self._asked = None
            question.answer(reply)

        if question.identity is not None:
            self.push_screen(
                LineDialog(
                    "A passphrase", f"for the private key {question.identity}", is_secret=True
                ),
                answered,
            )
            return
        rows = "\n".join(f"{k.host:22} {k.key_type:20}\n  {k.fingerprint}" for k in question.keys)
        self.push_screen(
            ChoiceDialog[bool](
                "These hosts are not known yet",
                f"Compare the fingerprints with the hosts' consoles.\n\n{rows}",
                [
                    ("Do not connect", False),
                    (f"Accept {len(question.keys)} and remember them", True),
                ],
            ),
            answered,
        )

    def write_report(self) -> None:
        """The report on the last look, into the current folder."""
        if self.snapshot is None:
            self.notify("the cluster was not looked at yet: press r", markup=False)
            return
        self._reporting.start(self.snapshot, self.assessments)

    def open_recommendation(self, name: str) -> None:
        """Open its flow; while a run of it goes on, at the run."""
        if self.snapshot is None:
            self.notify("the cluster was not looked at yet: press r", markup=False)
            return
        self.push_screen(RecommendationScreen(name))

    def open_run(self) -> None:
        """The flow of the run that is going on."""
        if self.run_handle is not None:
            self.push_screen(RecommendationScreen(self.run_handle.plan.recommendation, at_run=True))

    def open_history(self) -> None:
        """What was run from this machine."""
        self.push_screen(HistoryScreen())

    def open_log(self) -> None:
        """The whole log of the run."""
        if self.run_handle is not None:
            self.push_screen(LogScreen())

    def ask_lock(self) -> Task[Lock | None]:
        """Ask in a thread of the engine's who holds the lock."""
        assert self.session is not None
        return background(self.session.lock_holder, name="lock-holder")

    def start_run(self, plan: Plan, secrets: Mapping[str, SecretStr], break_lock: str = "") -> None:
        """Start a plan. Raises WizardError, OSError."""
        assert self.session is not None and self.snapshot is not None
        self.run_handle = self.session.start(
            plan,
            before=self.snapshot,
            secrets=secrets,
            interactive=True,
            break_lock=break_lock,
        )

    def resume_run(self, found: Unfinished, secrets: Mapping[str, SecretStr]) -> None:
        """Take a run up again. Raises WizardError, OSError."""
        assert self.session is not None and self.snapshot is not None
        before = self.snapshot
        self.show_run(self.session.resume(found, before=before, secrets=secrets, interactive=True))

    def show_run(self, run: RunLike) -> None:
        """Follow a run that has been going on before."""
        self.run_handle, self.unfinished = run, None
        self.open_run()

    def continue_run(self, folder: Path) -> None:
        """Go on with a run that was cut off, or follow it in another wizard."""
        go_on(self, folder)

    def take_snapshot_of_run(self) -> None:
        """The run's own last look is the newest; assess it without asking the cluster again."""
        after = getattr(self.run_handle, "after", None)
        if after is not None and after is not self.snapshot:
            self.snapshot = after
            self.assessments = {r.id: r.assess(after) for r in catalogue.ALL}

    async def action_quit(self) -> None:
        """Quit; a run of ours that is going on is asked about first, and keeps running by default."""
        if self.run_goes_on and self.run_handle is not None and self.run_handle.is_ours:
            self.leaving.ask()
        else:
            self.leave()

    def leave(self, words: str = "") -> None:
        """Say after the screen is gone what the operator should know."""
        run = self.run_handle
        if not words and run is not None and self._replay is None:
            words = f"run {run.id}: {run.hub.state.status}; deiswizard show {run.id}"
        if self._asked is not None:
            self._asked.answer(None)
        if self._replay is not None:
            self._replay.stop()
        self.exit(words)

    def on_unmount(self) -> None:
        """End the connections without keeping anybody waiting."""
        if self.session is not None:
            background(self.session.close, name="close").wait(2.0)

    def action_say_quit(self) -> None:
        """ctrl+c is no way out of a full screen."""
        self.notify("press q to quit", markup=False)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Only commands of ours."""
        yield SystemCommand("Look again", "probe the cluster", self.look_again)
        yield SystemCommand("Report", "production readiness, as files", self.write_report)
        yield SystemCommand("History", "what was run, and how to take it back", self.open_history)
        for recommendation in catalogue.ALL:
            yield SystemCommand(
                f"Open: {recommendation.title}",
                recommendation.why,
                lambda name=recommendation.id: self.open_recommendation(name),
            )
        if self.run_handle is not None:
            yield SystemCommand("Log of the run", "all hosts", self.open_log)
        other = LIGHT if self.theme == DARK.name else DARK
        yield SystemCommand(
            f"Theme: {'light' if other is LIGHT else 'dark'}",
            "for this session",
            lambda: setattr(self, "theme", other.name),
        )
        yield SystemCommand("Quit", "leave the wizard", self._leave_later)

    def _leave_later(self) -> None:
        self.call_later(self.action_quit)

    def _handle_exception(self, error: Exception) -> None:
        """A bug: the report holds no values of variables, which may be secrets."""
        from deiswizard.commands.failing import report

        if isinstance(error, CancelledError) or self.is_headless:
            super()._handle_exception(error)
            return
        self._return_code = 1
        self.exit(
            f"internal error ({type(error).__name__}): this is a bug; send {report(error)}",
            return_code=1,
        )
