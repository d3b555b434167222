"""Help: the keys of the page it was called from, from the same bindings that act."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

WORDS = """\
The flow of every recommendation: Choose, Preview, Run, Verify. Nothing is changed before Run, and
what Preview shows is what runs. A run is only done when a new look at the cluster says so.

Symbols always stand beside their word. NO_COLOR and --ascii are honoured.
"""


class HelpModal(ModalScreen[None]):
    """Leaves by any of esc, ?, q."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q", "close", "back", id="help-back")
    ]

    def __init__(self, page: Screen[None]) -> None:
        super().__init__()
        self._page = page

    def compose(self) -> ComposeResult:
        """Keys first, then words."""
        rows = []
        seen: set[str] = set()
        for _, binding, enabled, tooltip in self._page.active_bindings.values():
            if binding.action in seen or not binding.description or not enabled:
                continue
            seen.add(binding.action)
            key = self.app.get_key_display(binding)
            rows.append(f"{key:>10}   {tooltip or binding.description}")
        with VerticalScroll(classes="dialog"):
            yield Static(Content("Keys of this page"), classes="dialog-title", markup=False)
            yield Static(Content("\n".join(rows)), markup=False)
            yield Static(Content(f"\n{WORDS}"), markup=False)
            yield Static(Content("esc back"), classes="dialog-keys", markup=False)

    def action_close(self) -> None:
        """Back to the page."""
        self.dismiss(None)
