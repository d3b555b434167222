"""Another run holds the lock: watch it, break it, or go back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from deiswizard.background import Task
from deiswizard.cluster.snapshot import Lock
from deiswizard.errors import WizardError
from deiswizard.run.lock import RISK
from deiswizard.screens.modals.dialog import ChoiceDialog, LineDialog
from deiswizard.screens.panes.lock import confirmation, rows
from deiswizard.screens.text import clean, hanging

Choice = Literal["watch", "break", "run", "back"]
WIDTH = 70
PUMP_SECONDS = 0.2
BREAK: tuple[str, Choice] = ("Break it, and run", "break")
BACK: tuple[str, Choice] = ("Back to the preview", "back")
HELD: list[tuple[str, Choice]] = [("Watch it until it is free", "watch"), BREAK, BACK]
WATCHED: list[tuple[str, Choice]] = [BACK, BREAK]
FREE: list[tuple[str, Choice]] = [BACK, ("Run now", "run")]


class LockDialog(ChoiceDialog[Choice]):
    """Calls ``decided`` with the token of the lock to break, or with nothing when it is free.

    ``ask`` begins a question to etcd for the holder; its answer is pulled, so nothing waits.
    """

    POLL_SECONDS = 3.0

    def __init__(
        self,
        holder: Lock,
        *,
        ask: Callable[[], Task[Lock | None]],
        decided: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        super().__init__(
            "Another run holds the lock of this cluster", rows(holder, clock(), WIDTH), HELD
        )
        self._holder: Lock | None = holder
        self._ask = ask
        self._decided = decided
        self._clock = clock
        self._asked: Task[Lock | None] | None = None
        self._asked_at = float("-inf")
        self._problem = ""

    def chosen(self, choice: Choice) -> None:
        """Watching stays; breaking is confirmed first."""
        match choice:
            case "watch":
                self.set_interval(PUMP_SECONDS, self._watch)
                self._watch()
            case "break":
                self._confirm()
            case "run":
                self.dismiss(None)
                self._decided("")
            case "back":
                self.dismiss(None)

    def _watch(self) -> None:
        """Pull the last answer; ask again after a pause."""
        if self._asked is not None and self._asked.done:
            try:
                self._holder, self._problem = self._asked.result(), ""
            except WizardError as error:
                self._problem = str(error)
            self._asked = None
        elif self._asked is None and time.monotonic() - self._asked_at >= self.POLL_SECONDS:
            self._asked_at = time.monotonic()
            self._asked = self._ask()
        if self._holder is None:
            self.tell("The lock is free", "The other run is done, or its lock has ended.", FREE)
            return
        words = rows(self._holder, self._clock(), WIDTH)
        words += f"\n\nLooking every {self.POLL_SECONDS:.0f} s; esc ends it."
        if self._problem:
            words += "\n" + "\n".join(hanging("", f"No answer: {self._problem[:200]}", 0, WIDTH))
        self.tell("Watching the lock of this cluster", words, WATCHED)

    def _confirm(self) -> None:
        holder = self._holder
        if holder is None:
            return
        needed = confirmation(holder)

        def typed(words: str | None) -> None:
            if words is not None:
                self.dismiss(None)
                self._decided(holder.token)

        owner = clean(holder.owner)[:WIDTH]
        self.app.push_screen(
            LineDialog(
                f"Break the lock of {owner}",
                f"{RISK}\n\nType to confirm: {needed}",
                needed=needed,
            ),
            typed,
        )
