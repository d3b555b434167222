"""One recommendation: Choose, Preview, Run, Verify as one visible flow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import SecretStr
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import ContentSwitcher, Input, Static

from deiswizard.answers import remember
from deiswizard.errors import WizardError
from deiswizard.materials import make_plan
from deiswizard.plan.plan import Plan
from deiswizard.plan.script import script
from deiswizard.recommendations import catalogue
from deiswizard.run.record import kept_at
from deiswizard.run.undo import undo_plan, why_no_undo
from deiswizard.screens.base import WizardScreen
from deiswizard.screens.choose import ChoosePane
from deiswizard.screens.lock_gate import WAITING, LockGate
from deiswizard.screens.modals.dialog import LineDialog
from deiswizard.screens.panes.progress import problems
from deiswizard.screens.preview import PreviewPane
from deiswizard.screens.run import RunPane
from deiswizard.screens.secrets import with_secrets
from deiswizard.screens.text import cut
from deiswizard.screens.verify import VerifyPane
from deiswizard.vocabulary import Danger, RunStatus

Phase = Literal["choose", "preview", "run", "verify"]
PHASES: tuple[Phase, ...] = ("choose", "preview", "run", "verify")
GOING_ON = (RunStatus.RUNNING, RunStatus.NEEDS_DECISION)


class RecommendationScreen(WizardScreen):
    """Moves between the phases; each is a pane of its own."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "next", "next", id="next", priority=False),
        Binding("escape", "back", "back", id="back"),
        Binding("tab", "turn", "next field or view", show=False, id="turn"),
        Binding("c", "copy", "copy", id="copy"),
        Binding("w", "write", "write the plan to a file", id="write"),
        Binding("x", "script", "write a script that does it by hand", id="script"),
        Binding("r", "retry", "retry what failed", id="retry"),
        Binding("s", "skip", "leave this step out", id="skip"),
        Binding("n", "next_problem", "next failure", id="next-problem"),
        Binding("l", "log", "whole log", id="whole-log"),
        Binding("m", "maximise", "maximise the log", id="maximise"),
        Binding("u", "undo", "undo", id="undo"),
    ]
    phase: Phase = "choose"

    def __init__(self, name: str, *, at_run: bool = False, plan: Plan | None = None) -> None:
        """``plan``: begin at its preview; back leaves the screen."""
        super().__init__()
        self.recommendation = catalogue.named(name)
        self._at_run = at_run
        self._given = plan
        self._gate: LockGate | None = None
        self._secrets: Mapping[str, SecretStr] | None = None

    def body(self) -> ComposeResult:
        """The breadcrumb and the four panes."""
        wizard = self.wizard
        yield Static("", id="flow", markup=False)
        with ContentSwitcher(initial="run" if self._shows_run else "choose", id="phases"):
            if wizard.snapshot is not None:
                yield ChoosePane(self.recommendation, wizard.snapshot, wizard.symbols)
            yield PreviewPane()
            yield RunPane(wizard.symbols)
            yield VerifyPane(wizard.symbols)

    @property
    def _shows_run(self) -> bool:
        """A run of this recommendation is going on, or was asked for."""
        run = self.wizard.run_handle
        if run is None or self._given or run.plan.recommendation != self.recommendation.id:
            return False
        return self._at_run or self.wizard.snapshot is None or run.hub.state.status in GOING_ON

    def on_mount(self) -> None:
        """Begin where there is something to see."""
        run = self.wizard.run_handle
        shows_run = self._shows_run and run is not None
        self.phase = "run" if shows_run else "choose"
        super().on_mount()
        if shows_run and run is not None:
            self.query_one(RunPane).follow(run)
        if self._given is not None:
            self._preview(self._given)
        else:
            self._go(self.phase)

    def _go(self, phase: Phase) -> None:
        self.phase = phase
        self._gate = None
        self.query_one(ContentSwitcher).current = phase
        if phase == "choose":
            self.call_after_refresh(self.query_one(ChoosePane).focus_first)
        elif phase == "preview":
            self.set_focus(self.query_one("#preview-scroll"))
        elif phase == "run":
            self.set_focus(self.query_one("#tail"))
        else:
            self.set_focus(self.query_one(VerifyPane))
        self._show_flow()
        self.refresh_bars()

    def _show_flow(self) -> None:
        symbols = self.wizard.symbols
        here = PHASES.index(self.phase)
        plan = self._given or self.query_one(PreviewPane).plan
        title = plan.title if plan and here else self.recommendation.title
        parts: list[str | tuple[str, str]] = [
            (f" {self.recommendation.number} {cut(title, 30)}", "bold"),
            "   ",
        ]
        for number, phase in enumerate(PHASES):
            mark = symbols.ok if number < here else symbols.on if number == here else symbols.off
            style = "bold $primary" if number == here else "$success" if number < here else "dim"
            parts.append((f"{mark} {phase.capitalize()}", style))
            parts.append((f" {symbols.rule} ", "dim") if number < 3 else "")
        self.query_one("#flow", Static).update(Content.assemble(*parts))

    def keys(self) -> list[tuple[str, str]]:
        """What can be done in this phase."""
        end = [("?", "help"), ("q", "quit")]
        run = self.wizard.run_handle
        match self.phase:
            case "choose":
                ready = self._choose.choices is not None
                first = ("enter", "next: Preview") if ready else ("enter", "(mend the field)")
                return [first, ("esc", "back"), ("space", "tick"), ("tab", "next field"), *end]
            case "preview" if self._gate is not None:
                return [("enter", WAITING), ("esc", "back"), *end]
            case "preview":
                return [
                    ("enter", "run"),
                    ("tab", "view"),
                    ("w", "save plan"),
                    ("x", "script"),
                    ("esc", "back"),
                    *end,
                ]
            case "run":
                keys = [("tab", "view"), ("l", "log"), ("m", "maximise"), ("esc", "leave"), *end]
                if run is not None and run.hub.state.status is RunStatus.NEEDS_DECISION:
                    keys = [
                        ("r", "retry failed"),
                        ("s", "skip"),
                        ("n", "next"),
                        ("tab", "view"),
                        ("esc", "leave"),
                        *end,
                    ]
                elif run is not None and run.hub.state.finished_at is not None:
                    keys = [("enter", "next: Verify"), *keys]
                return keys
            case _:
                keys = [("enter", "history" if self._given else "overview")]
                if run is not None and why_no_undo(run.hub.state) is None:
                    keys.append(("u", "undo"))
                if run is not None and run.hub.state.differences:
                    keys.append(("r", "new plan"))
                return [*keys, ("l", "log"), *end]

    @property
    def _choose(self) -> ChoosePane:
        return self.query_one(ChoosePane)

    def pump(self) -> None:
        """Follow the run; when it ends, its result is shown."""
        gate = self._gate
        if gate is not None and gate.pump() and gate is self._gate:
            self._gate = None
            self.refresh_bars()
        run = self.wizard.run_handle
        if self.phase != "run" or run is None:
            return
        self.query_one(RunPane).pump(self.wizard.clock())
        state = run.hub.state
        if state.finished_at is not None:
            self.wizard.take_snapshot_of_run()
            self.query_one(VerifyPane).tell(state, str(kept_at(run.folder)))
            self._go("verify")

    @on(Input.Submitted)
    def _entered(self) -> None:
        """Enter in a line of text goes on as everywhere else."""
        self.action_next()

    def action_next(self) -> None:
        """Forward, where the phase allows it."""
        match self.phase:
            case "choose":
                self._to_preview()
            case "preview":
                self._confirm_and_run()
            case "verify":
                self.wizard.take_snapshot_of_run()
                self.dismiss(None)
            case _:
                pass

    def _to_preview(self) -> None:
        pane = self._choose
        pane.validate()
        snapshot = self.wizard.snapshot
        if pane.choices is None or snapshot is None:
            blocking = next((p for p in pane.problems if p.blocks), None)
            if blocking is not None:
                self.notify(blocking.what, title="Not yet", severity="warning", markup=False)
                pane.focus_field(blocking.field)
            return
        try:
            prepared = make_plan(self.recommendation, snapshot, pane.choices)
            remember(snapshot.cluster, self.recommendation, pane.choices)
        except (WizardError, OSError) as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self._preview(prepared.plan, prepared.secrets)

    def _preview(self, plan: Plan, secrets: Mapping[str, SecretStr] | None = None) -> None:
        """``secrets``: what the plan needs, if that is known already."""
        self._secrets = secrets
        self.query_one(PreviewPane).tell(plan)
        self._go("preview")

    def _confirm_and_run(self) -> None:
        plan = self.query_one(PreviewPane).plan
        if plan is None or self._gate is not None:
            return
        if self.wizard.run_goes_on:
            self.notify("another run is going on; one at a time", severity="warning", markup=False)
            return
        if plan.impact.danger is not Danger.DESTROY:
            self._ask_lock(plan)
            return

        def typed(words: str | None) -> None:
            if words is not None:
                self._ask_lock(plan)

        self.app.push_screen(
            LineDialog(
                "This destroys something",
                f"Type the cluster's name: {plan.cluster}",
                needed=plan.cluster,
            ),
            typed,
        )

    def _ask_lock(self, plan: Plan) -> None:
        """See first who holds the lock, unless the plan runs without it."""
        if plan.is_empty or plan.no_lock:
            self._run(plan)
        else:
            self._gate = LockGate(self.wizard, lambda token: self._run(plan, token))

    def _run(self, plan: Plan, break_lock: str = "") -> None:
        with_secrets(
            self.wizard, plan, lambda secrets: self._begin(plan, secrets, break_lock), self._secrets
        )

    def _begin(self, plan: Plan, secrets: Mapping[str, SecretStr], break_lock: str) -> None:
        try:
            self.wizard.start_run(plan, secrets, break_lock)
        except (WizardError, OSError) as error:
            self.notify(f"the run could not be started: {error}", severity="error", markup=False)
            return
        assert self.wizard.run_handle is not None
        self.query_one(RunPane).follow(self.wizard.run_handle)
        self._go("run")

    def action_back(self) -> None:
        """One phase back; out of a run only by saying what shall become of it."""
        match self.phase:
            case "preview" if self._given is None:
                self._go("choose")
            case "run" if self.wizard.run_goes_on:
                self.wizard.leaving.ask(to_overview=lambda: self.dismiss(None))
            case _:
                if self.phase in ("run", "verify"):
                    self.wizard.take_snapshot_of_run()
                self.dismiss(None)

    def action_turn(self) -> None:
        """Tab: the next view in preview and run, the next field elsewhere."""
        if self.phase == "preview":
            self.query_one(PreviewPane).turn()
        elif self.phase == "run":
            self.query_one(RunPane).turn()
            self.pump()
        else:
            if self.phase == "choose":
                # A hand quicker than the first paint means the field after the first, too.
                self.query_one(ChoosePane).focus_first()
            self.focus_next()

    def action_copy(self) -> None:
        """The view to the clipboard of the terminal."""
        if self.phase == "preview":
            self.app.copy_to_clipboard(self.query_one(PreviewPane).as_text())
            self.notify("copied, where the terminal allows it", markup=False)

    def action_write(self) -> None:
        """The plan as JSON, for deiswizard apply."""
        plan = self.query_one(PreviewPane).plan
        if self.phase != "preview" or plan is None:
            return
        name = f"{plan.recommendation}-plan.json"
        self._write(name, plan.model_dump_json(indent=2) + "\n", f"deiswizard apply {name}")

    def action_script(self) -> None:
        """The runbook: a shell script that does the same by hand."""
        plan, snapshot, session = (
            self.query_one(PreviewPane).plan,
            self.wizard.snapshot,
            self.wizard.session,
        )
        if self.phase != "preview" or plan is None or snapshot is None or session is None:
            return
        name = f"{plan.recommendation}-plan.sh"
        self._write(name, script(plan, session.reach(snapshot)), f"sh {name}")

    def _write(self, name: str, text: str, command: str) -> None:
        """A file in the current folder, and how to run it."""
        path = Path.cwd() / name
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            self.notify(f"{path}: {error.strerror}", severity="error", markup=False)
            return
        self.notify(f"written: {path}   run it with: {command}", markup=False)

    def action_retry(self) -> None:
        """In a run: what failed, again. After a refused plan: a new one."""
        run = self.wizard.run_handle
        if run is None:
            return
        if self.phase == "run" and run.hub.state.status is RunStatus.NEEDS_DECISION:
            run.retry()
        elif self.phase == "run" and problems(run.plan, run.hub.state):
            self.notify("not yet: the rest of this stage goes on first", markup=False)
        elif self.phase == "verify" and run.hub.state.differences:
            self.wizard.look_again()
            self.dismiss(None)

    def action_skip(self) -> None:
        """Leave the failed step out, with a reason that is recorded."""
        run = self.wizard.run_handle
        if run is None or self.phase != "run":
            return
        found = problems(run.plan, run.hub.state)
        if not found:
            return
        step = found[self.query_one(RunPane).chosen % len(found)][0]
        if not run.plan.may_be_left_out(step.id):
            self.notify("the rest of the run rests on it: r tries again, esc stops", markup=False)
            return

        def typed(reason: str | None) -> None:
            if reason:
                run.skip(step.id, reason)

        self.app.push_screen(
            LineDialog("Leave this step out", f"{step.host} {step.title}. Why?"), typed
        )

    def action_next_problem(self) -> None:
        """The card of the next failure."""
        self.query_one(RunPane).chosen += 1

    def action_log(self) -> None:
        """The whole log."""
        if self.phase in ("run", "verify"):
            self.wizard.open_log()

    def action_maximise(self) -> None:
        """Only the log, or all panes."""
        if self.phase == "run":
            self.query_one(RunPane).maximise()

    def action_undo(self) -> None:
        """A plan that takes the run back, through the same preview."""
        run, snapshot = self.wizard.run_handle, self.wizard.snapshot
        if self.phase != "verify" or run is None or snapshot is None:
            return
        try:
            self._preview(undo_plan(run.hub.state, snapshot))
        except WizardError as error:
            self.notify(str(error), markup=False)
