"""Verify: what a new look at the cluster said."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from deiswizard.run.events import Check
from deiswizard.run.resume import OPEN
from deiswizard.run.state import RunState
from deiswizard.run.summary import counts
from deiswizard.run.undo import why_no_undo
from deiswizard.screens.panes.ports import table
from deiswizard.screens.text import clean, cut, hanging
from deiswizard.screens.theme import Symbols
from deiswizard.vocabulary import RunStatus

CONFIRMED = "Done, and a new look at the cluster confirms it."
UNCOMPARED = "Done: each of its steps says so. A new look has nothing to compare that with."


class VerifyPane(VerticalScroll):
    """Checks with evidence, what was done, how to take it back."""

    def __init__(self, symbols: Symbols) -> None:
        super().__init__(id="verify")
        self._symbols = symbols
        self._told: tuple[RunState, str] | None = None

    def compose(self) -> ComposeResult:
        """One text."""
        yield Static("", id="verify-text", markup=False)

    def tell(self, state: RunState, folder: str) -> None:
        """Show how a run ended."""
        if (state, folder) != self._told:
            self._told = (state, folder)
            self._paint(state, folder)

    def on_resize(self) -> None:
        """Lines are broken for the width."""
        if self._told is not None:
            self._paint(*self._told)

    def _paint(self, state: RunState, folder: str) -> None:
        s = self._symbols
        ok = state.status is RunStatus.DONE
        mark, style = (s.ok, "bold $success") if ok else (s.failed, "bold $error")
        if ok:
            words = CONFIRMED if state.checks else UNCOMPARED
        else:
            is_told = state.said.startswith(state.status)
            words = state.said if is_told else f"{state.status}: {state.said}"
        lines = hanging(f" {mark}", words, 3, self.app.size.width - 1)
        parts: list[str | tuple[str, str]] = [("\n".join(lines) + "\n\n", style)]
        for check in (check for check in state.checks if not check.cells):
            look = {
                True: (s.ok, "ok", "$success"),
                False: (s.failed, "NOT ok", "bold $error"),
                None: (s.unknown, "unknown", "$warning"),
            }
            symbol, word, check_style = look[check.ok]
            parts += [(f" {symbol} {word:8}", check_style), *self._told_check(check)]
        rows = table(state.checks, self.app.size.width - 3, s)
        parts += [("\n" if rows else "", ""), *((f"{text}\n", style) for text, style in rows)]
        for difference in state.differences:
            parts.append((f" {s.warning} changed meanwhile: {clean(difference)}\n", "$warning"))
        if state.differences:
            parts.append(
                " Nothing was changed by this plan. Press r: look again and make a new plan.\n"
            )
        facts = [("Steps", counts(state))]
        if state.plan is not None:
            obstacle = why_no_undo(state)
            told = obstacle.what if obstacle and not obstacle.said else state.plan.impact.undo
            facts.append(("Undo", told))
        if state.status in OPEN:
            facts.append(("Go on", f"deiswizard resume {state.run}"))
        facts += [("Record", folder), ("", f"deiswizard show {state.run}")]
        parts.append("\n")
        for label, text in facts:
            lines = hanging(label, text, 9, self.app.size.width - 3)
            parts += [f" {line}\n" for line in lines]
        self.query_one("#verify-text", Static).update(Content.assemble(*parts))

    def _told_check(self, check: Check) -> list[str | tuple[str, str]]:
        """Title and evidence, the evidence below where both do not fit on a line."""
        room = self.app.size.width - 14
        title, evidence = cut(check.title, room), clean(check.evidence)
        if len(title) + len(evidence) + 3 <= room:
            return [title, (f"   {evidence}\n", "dim")]
        below = hanging("", evidence, 0, room)
        return [f"{title}\n", *((f"{'':11}{line}\n", "dim") for line in below)]
