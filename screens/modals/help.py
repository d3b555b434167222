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

KEY_NAMES = {"question_mark": "?", "escape": "esc", "slash": "/", "colon": ":"}


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
        rows: dict[str, str] = {}
        for _, binding, enabled, tooltip in self._page.active_bindings.values():
            if binding.id and binding.description and enabled:  # Textual's own have no id
                words = tooltip or binding.description
                keys = rows[words].split(", ") if words in rows else []
                rows[words] = ", ".join([*keys, KEY_NAMES.get(binding.key, binding.key)])
        lines = [f"{keys:>10}   {words}" for words, keys in rows.items()]
        lines.append(f"{'up, down':>10}   move; PgUp, PgDn, home and end too")
        with VerticalScroll(classes="dialog"):
            yield Static(Content("Keys of this page"), classes="dialog-title", markup=False)
            yield Static(Content("\n".join(lines)), markup=False)
            yield Static(Content(f"\n{WORDS}"), markup=False)
            yield Static(Content("esc back"), classes="dialog-keys", markup=False)

    def action_close(self) -> None:
        """Back to the page."""
        self.dismiss(None)
