"""Taking a run up again: whether it can be, and what it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.plan import Plan
from deiswizard.redaction import MASK
from deiswizard.run.events import Event
from deiswizard.run.folders import list_runs
from deiswizard.run.history import past_run
from deiswizard.run.journal import is_being_written
from deiswizard.run.replay import recorded, state_of
from deiswizard.run.state import RunState
from deiswizard.vocabulary import RunStatus

OPEN = (RunStatus.INTERRUPTED, RunStatus.FAILED, RunStatus.STOPPED)
"""How a run stands that may be taken up again."""


@dataclass(frozen=True)
class Unfinished:
    """A run that has not come to its end. ``is_live``: another wizard on this machine runs it."""

    folder: Path
    plan: Plan
    state: RunState
    events: Sequence[Event] = ()
    is_live: bool = False


def unfinished(folder: Path) -> Unfinished:
    """Read a run that is to be taken up again.

    Raises:
        PreconditionError: there is nothing to take up, or it cannot be; says why.
    """
    is_live = is_being_written(folder)
    plan, events = recorded(folder)
    state = state_of(events, lives=is_live)
    if not is_live and state.status not in OPEN:
        raise PreconditionError(
            f"run {folder.name} is {state.status}: there is nothing to take up again",
            do="make a new plan",
        )
    if MASK in plan.model_dump_json():
        raise PreconditionError(
            f"the plan of run {folder.name} holds words that were kept out of its journal as secrets",
            do="look again and make a new plan: what is done stays done",
        )
    return Unfinished(folder, plan, state, events, is_live)


def newest_unfinished(snapshot: Snapshot) -> Unfinished | None:
    """The newest run on the cluster that was looked at, if it goes on elsewhere or was cut off.

    Only the newest: what came after a run that was cut off has seen what that one left.
    """
    for folder in list_runs():
        run = past_run(folder)
        if run is None or not snapshot.is_of(run.cluster, run.machines):
            continue
        if run.status not in (RunStatus.INTERRUPTED, RunStatus.RUNNING):
            return None
        try:
            return unfinished(folder)
        except PreconditionError:
            return None
    return None
