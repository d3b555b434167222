"""Between Enter in the preview and the run: whoever holds the lock is shown first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from deiswizard.screens.modals.lock import LockDialog

if TYPE_CHECKING:
    from deiswizard.screens.app import WizardApp

LOCK_SECONDS = 20
"""How long Enter waits to hear who holds the lock."""

WAITING = f"asking who holds the lock ({LOCK_SECONDS} s at most)"


class LockGate:
    """Asks once; pulled by the screen. ``run`` is called with the token of the lock to break, if any.

    Without an answer the run is let begin: it asks again, and says itself what is wrong.
    """

    def __init__(self, wizard: WizardApp, run: Callable[[str], None]) -> None:
        self._wizard = wizard
        self._run = run
        self._task = wizard.ask_lock()
        self._asked_at = wizard.clock()

    def pump(self) -> bool:
        """Whether it was passed, or a dialog has taken over; False: etcd is still being asked."""
        task, wizard = self._task, self._wizard
        if not task.done and wizard.clock() - self._asked_at < LOCK_SECONDS:
            return False
        holder = task.result() if task.done and task.error is None else None
        if holder is None:
            self._run("")
        else:
            wizard.push_screen(
                LockDialog(holder, ask=wizard.ask_lock, decided=self._run, clock=wizard.clock)
            )
        return True
