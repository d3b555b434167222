"""Connect: one address is enough. Shows each host, and asks only what must be asked."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from deiswizard.errors import WizardError
from deiswizard.inventory import parse_address
from deiswizard.screens.base import WizardScreen
from deiswizard.screens.text import clean, fit
from deiswizard.screens.theme import STYLES
from deiswizard.vocabulary import StepStatus

MARKS = {
    "waiting": StepStatus.WAITING,
    "connecting": StepStatus.RUNNING,
    "connected": StepStatus.DONE,
    "failed": StepStatus.FAILED,
}


class ConnectScreen(WizardScreen):
    """The first screen; gives way to the overview when the first look has ended."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "again", "try again", id="connect-again"),
    ]

    def body(self) -> ComposeResult:
        """An address, a line of what goes on, a row for each host."""
        with Vertical(id="connect"):
            yield Static(
                Content("Address of one host of the cluster (host, host:port, user@host):"),
                id="connect-label",
                markup=False,
            )
            yield Input(value=self.wizard.address, placeholder="10.21.2.11", id="address")
            yield Static("", id="connect-error", classes="error", markup=False)
            yield Static("", id="connect-state", markup=False)
            with VerticalScroll(id="connect-scroll", can_focus=False):
                yield Static("", id="connect-hosts", markup=False)

    def on_mount(self) -> None:
        """Connect at once when an address was given."""
        super().on_mount()
        if self.wizard.address:
            self.wizard.connect(self.wizard.address)
        else:
            self.query_one(Input).focus()

    def title_text(self) -> tuple[str, str]:
        """No cluster yet."""
        return "deiswizard   connect", self.wizard.demo_text

    def keys(self) -> list[tuple[str, str]]:
        """Depends on whether an address is being typed."""
        if self.wizard.connecting is not None and not self.wizard.connect_error:
            return [("?", "help"), ("q", "quit")]
        keys = [("enter", "connect"), ("tab", "field or keys")]
        if self.wizard.connect_error and not self.query_one(Input).has_focus:
            keys.insert(0, ("r", "try again"))
        return [*keys, ("?", "help"), ("q", "quit")]

    @on(Input.Submitted, "#address")
    def _typed(self, event: Input.Submitted) -> None:
        """Judge the address beside its field."""
        error = self.query_one("#connect-error", Static)
        try:
            if not event.value.strip():
                error.update(Content("type the address of one host"))
                return
            parse_address(event.value)
        except WizardError as problem:
            error.update(Content(f"{problem.what}; {problem.do or 'allowed: 1 to 65535'}"))
            return
        error.update(Content(""))
        self.set_focus(None)
        self.wizard.connect(event.value.strip())

    def action_again(self) -> None:
        """The same address once more."""
        if self.wizard.connect_error:
            self.wizard.connect(self.wizard.address)

    def pump(self) -> None:
        """Rows for hosts; words for what is awaited or what went wrong."""
        wizard, symbols = self.wizard, self.wizard.symbols
        state = self.query_one("#connect-state", Static)
        if wizard.connect_error is not None:
            error = wizard.connect_error
            rows = [
                ("What ", error.what),
                ("Said ", error.said),
                ("State", error.state),
                ("Do   ", error.do),
            ]
            parts: list[str | tuple[str, str]] = []
            for label, text in rows:
                if text:
                    parts += [(f"{label}  ", "bold $error"), f"{clean(text)}\n"]
            state.update(Content.assemble(*parts))
        elif wizard.connecting is not None:
            words = (
                "looking at the cluster" if wizard.session else f"connecting to {wizard.address}"
            )
            limit = "45 s a host" if wizard.session else "60 s a host"
            state.update(Content(f"{symbols.running} {clean(words)} ({limit} at most)"))
        lines: list[str | tuple[str, str]] = []
        for progress in wizard.progress.values():
            word = MARKS[progress.state]
            lines.append(
                (
                    f" {symbols.of(word)} {fit(progress.host, 18)} {fit(progress.state, 11)}",
                    STYLES[word],
                )
            )
            lines.append(f" {clean(progress.said)}\n")
        self.query_one("#connect-hosts", Static).update(Content.assemble(*lines))
