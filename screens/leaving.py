"""Turning away from a run that goes on: what shall become of it is asked, then done without waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from deiswizard.background import Task, background
from deiswizard.errors import WizardError
from deiswizard.screens.engine import RunLike
from deiswizard.screens.modals.dialog import ChoiceDialog
from deiswizard.screens.overview import OverviewScreen
from deiswizard.vocabulary import StepStatus

if TYPE_CHECKING:
    from deiswizard.screens.app import WizardApp

HANDING_OVER = "handing the run over to a wizard without a screen (90 s at most)"
CANNOT_BE_LEFT = "The pretend cluster ends with this program: the run cannot go on without it."


def back_with(run: RunLike) -> str:
    """How to come back to a run."""
    return f"deiswizard resume {run.id}"


class Leaving:
    """Asks, hands over, and quits when the run has been let go or has stopped. Pulled by the app."""

    def __init__(self, wizard: WizardApp) -> None:
        self._wizard = wizard
        self._handing_over: Task[int] | None = None
        self._last_words: str | None = None
        """What to quit with once the run has ended; None: the operator stays."""

    @property
    def says(self) -> str:
        """What is being waited for, for the title bar."""
        return HANDING_OVER if self._handing_over is not None else ""

    def ask(self, to_overview: Callable[[], object] | None = None) -> None:
        """What shall become of the run? Without ``to_overview`` the operator wants to quit."""
        run, session = self._wizard.run_handle, self._wizard.session
        assert run is not None
        words, then = _so_far(run), "" if to_overview else ", then quit"
        options = [("Keep running", "keep")]
        if to_overview is not None:
            options.append(("Go to the overview, let it go on", "overview"))
        if run.is_ours and session is not None and session.outlives_us:
            options.append((f"Leave, let it go on: back with {back_with(run)}", "leave"))
        elif run.is_ours:
            words = f"{words}\n{CANNOT_BE_LEFT}"
        options += [
            (f"Stop after what is going on now{then}", "after"),
            (f"Stop now{then}: jobs are ended on their hosts", "now"),
        ]

        def chosen(choice: str | None) -> None:
            if choice == "overview" and to_overview is not None:
                self._point_at(run.plan.recommendation)
                to_overview()
            elif choice == "leave":
                self._hand_over(run)
            elif choice in ("after", "now"):
                run.stop(now=choice == "now")
                if then:
                    self._last_words = ""

        self._wizard.push_screen(ChoiceDialog[str]("A run is going on", words, options), chosen)

    def _point_at(self, name: str) -> None:
        """However the run was come to, the overview's cursor stands on what runs."""
        for screen in self._wizard.screen_stack:
            if isinstance(screen, OverviewScreen):
                screen.point_at(name)

    def _hand_over(self, run: RunLike) -> None:
        session = self._wizard.session
        if session is None or self._handing_over is not None:
            return
        self._handing_over = background(lambda: session.hand_over(run.folder), name="hand-over")
        self._wizard.notify(HANDING_OVER, markup=False)

    def pump(self) -> None:
        """Go on as soon as the other wizard is ready, the run has been let go, or has stopped."""
        run = self._wizard.run_handle
        task = self._handing_over
        if run is not None and task is not None and task.done:
            self._handing_over = None
            try:
                task.result()
            except (WizardError, OSError) as error:
                self._ask_again(run, str(error))
            else:
                self._let_go(run, "goes on without this program")
        if run is not None and self._last_words is not None and run.ended.is_set():
            words, self._last_words = self._last_words, None
            self._wizard.leave(words)

    def _let_go(self, run: RunLike, how: str) -> None:
        run.leave(f"left; it goes on, or goes on with: {back_with(run)}")
        self._last_words = f"run {run.id} {how}; back with: {back_with(run)}"

    def _ask_again(self, run: RunLike, why: str) -> None:
        """The other wizard could not connect: what the hosts have begun goes on all the same."""

        def chosen(choice: str | None) -> None:
            if choice == "leave":
                self._let_go(run, "waits; what the hosts have begun goes on")

        self._wizard.push_screen(
            ChoiceDialog[str](
                "The run cannot go on without this program",
                f"{why}\n\nWhat the hosts have begun goes on in any case.",
                [("Keep running", "keep"), ("Leave all the same; the rest waits", "leave")],
            ),
            chosen,
        )


def _so_far(run: RunLike) -> str:
    """What has happened so far."""
    state = run.hub.state
    done, going = state.count(StepStatus.DONE), state.count(StepStatus.RUNNING)
    changed = "Nothing was changed yet." if not done else "What is done stays done."
    where = "" if run.is_ours else "It runs in another wizard on this machine. "
    return f"{where}Done: {done} steps. Going on: {going}. {changed}"
