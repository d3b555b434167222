"""Lines that tell where one is: the top and the bottom of every screen, and tabs."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content
from textual.widgets import Static

from deiswizard.screens.text import clean


def tabs(labels: Mapping[str, str], chosen: str) -> Content:
    """``[ Changes 4 ]   Commands 9     Impact``: the brackets show without colour."""
    parts: list[str | tuple[str, str]] = [" "]
    for name, label in labels.items():
        here = name == chosen
        style = "bold reverse" if here else "dim"
        parts += [(f"[ {label} ]" if here else f"  {label}  ", style), " "]
    return Content.assemble(*parts)


class TitleBar(Static):
    """Left what and where, right how old. Never wraps."""

    def __init__(self) -> None:
        super().__init__(markup=False, id="title")
        self._shown: tuple[str, str, int] | None = None

    def tell(self, left: str, right: str) -> None:
        """Show both; repaints only when something changed."""
        width = self.size.width or self.app.size.width
        if self._shown == (left, right, width):
            return
        self._shown = (left, right, width)
        left, right = clean(left), clean(right)
        gap = max(1, width - len(left) - len(right) - 2)
        self.update(Content(f" {left}{' ' * gap}{right} "[: max(width, 1)]))


class KeyBar(Static):
    """The keys that are useful now: at most seven, as many as fit."""

    MOST = 7

    def __init__(self) -> None:
        super().__init__(markup=False, id="keys")
        self._shown: tuple[object, ...] | None = None

    def tell(self, keys: list[tuple[str, str]]) -> None:
        """(key, what it does), most useful first; the last two are kept to the end."""
        width = self.size.width or self.app.size.width
        if self._shown == (keys, width):
            return
        self._shown = (list(keys), width)
        kept = keys[: self.MOST]
        while len(kept) > 2 and sum(len(k) + len(w) + 4 for k, w in kept) > width:
            kept.pop(-3)
        parts: list[Content | str | tuple[str, str]] = [" "]
        for key, words in kept:
            parts += [(key, "bold $primary"), f" {words}   "]
        self.update(Content.assemble(*parts))
