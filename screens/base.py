"""What all full screens share: title bar, body, key bar, and a pump that pulls."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import Screen
from textual.widgets import Static

from deiswizard.screens.widgets.bars import KeyBar, TitleBar

if TYPE_CHECKING:
    from deiswizard.screens.app import WizardApp

SMALLEST = (60, 16)


class WizardScreen(Screen[None]):
    """Subclasses compose their body in ``body`` and refresh it in ``pump``."""

    AUTO_FOCUS = ""
    HORIZONTAL_BREAKPOINTS = [
        (0, "-narrow"),
        (100, "-normal"),
        (140, "-wide"),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,f1", "help", "help", id="help"),
        Binding("q,ctrl+q", "leave_program", "quit", id="quit"),
    ]

    @property
    def wizard(self) -> WizardApp:
        """The app, by its own type."""
        return cast("WizardApp", self.app)

    def compose(self) -> ComposeResult:
        """Title, body, keys; a plea to enlarge where the terminal is too small."""
        yield TitleBar()
        with Container(id="body"):
            yield from self.body()
        yield KeyBar()
        yield Static("Please enlarge the terminal to 60x16 or more.", id="too-small", markup=False)

    def body(self) -> ComposeResult:
        """What stands between the bars."""
        raise NotImplementedError

    def title_text(self) -> tuple[str, str]:
        """Left and right of the title bar."""
        return self.wizard.cluster_title, self.wizard.age_text

    def keys(self) -> list[tuple[str, str]]:
        """The keys to show now."""
        return [("?", "help"), ("q", "quit")]

    def pump(self) -> None:
        """Pull what changed; called five times a second while this screen is on top."""

    def refresh_bars(self) -> None:
        """Repaint both bars if they changed; a page that is being taken away has none."""
        if not self.query(TitleBar) or not self.query(KeyBar):
            return
        small = self.app.size.width < SMALLEST[0] or self.app.size.height < SMALLEST[1]
        self.set_class(small, "-too-small")
        self.query_one(TitleBar).tell(*self.title_text())
        self.query_one(KeyBar).tell(self.keys())

    is_composed = False
    """The widgets are there; before that there is nothing to repaint."""

    def on_mount(self) -> None:
        """First paint without waiting for the pump."""
        self.is_composed = True
        self.refresh_bars()
        self.pump()

    def on_resize(self) -> None:
        """The bars depend on the width; what has the focus stays in sight."""
        if self.is_composed:
            self.call_after_refresh(self._resized)

    def _resized(self) -> None:
        self.refresh_bars()
        if self.focused is not None:
            self.focused.scroll_visible(animate=False)

    def action_help(self) -> None:
        """Keys of this page."""
        from deiswizard.screens.modals.help import HelpModal

        self.app.push_screen(HelpModal(self))

    async def action_leave_program(self) -> None:
        """Quit; a run that is going on is asked about first."""
        await self.app.action_quit()
