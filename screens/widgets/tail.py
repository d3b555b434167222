"""A log that is followed: by what the operator did last, never by where it happens to stand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from textual.events import Resize
from textual.reactive import var
from textual.widgets import Log

if TYPE_CHECKING:
    from typing import Self


class Tail(Log):
    """Its end stays in sight, however it grows and however its room changes, until the operator
    scrolls away from it; it does again once he is back there.
    """

    follows: var[bool] = var(True, init=False)
    """Whether the end is kept in sight."""

    def follow(self, follows: bool = True) -> None:
        """Go to the end and keep it in sight, or stay here."""
        self.follows = follows
        self._keep_end()

    def write_lines(self, lines: Iterable[str], scroll_end: bool | None = None) -> Self:
        """Add the lines, and go to their end where it is followed, whatever ``scroll_end`` says."""
        super().write_lines(lines, scroll_end=False)
        self._keep_end()
        return self

    def clear(self) -> Self:
        """Take all lines away; what comes next is followed as they were, or shown from its beginning."""
        follows = self.follows
        super().clear()
        self.scroll_to(y=0, animate=False)
        self.follows = follows
        return self

    def scroll_to(self, x: float | None = None, y: float | None = None, **options: Any) -> None:
        """Be there at once: what was meant to be an animation would be undone by a line that comes in
        its course.
        """
        super().scroll_to(x, y, **{**options, "animate": False})

    def action_scroll_end(self) -> None:
        """The operator wants the end, also of what comes."""
        self.follow()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """It moved: to its end, or away from it."""
        super().watch_scroll_y(old_value, new_value)
        self.follows = new_value >= self.max_scroll_y

    def on_resize(self, event: Resize) -> None:
        """Less room would hide the end."""
        self._keep_end()

    def _keep_end(self) -> None:
        if self.follows and not self.is_vertical_scrollbar_grabbed:
            self.scroll_end(animate=False, immediate=True, x_axis=False)
