"""What was run on a cluster, told from the beginning and the end of each journal."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from deiswizard.frozen import Frozen
from deiswizard.run.events import EVENT, Event, RunFinished, RunStarted
from deiswizard.run.folders import JOURNAL, list_runs
from deiswizard.run.journal import is_being_written
from deiswizard.run.replay import final_state
from deiswizard.vocabulary import RunStatus

TAIL = 64 * 1024
"""Bytes at the end of a journal that surely hold its last line."""


class PastRun(Frozen):
    """A run in a line. ``ended`` is None when the journal does not tell.

    ``machines`` are the machine ids of its cluster, as its plan saw them.
    """

    run: str
    cluster: str
    machines: tuple[str, ...] = ()
    title: str
    by: str
    began: float
    ended: float | None
    status: RunStatus


def all_runs() -> tuple[PastRun, ...]:
    """The runs that this machine knows of, newest first."""
    found = (past_run(folder) for folder in list_runs())
    return tuple(run for run in found if run is not None)


def runs_of(cluster: str) -> tuple[PastRun, ...]:
    """Those on one cluster."""
    return tuple(run for run in all_runs() if run.cluster == cluster)


def past_run(folder: Path) -> PastRun | None:
    """A run's line, None where its journal cannot be read.

    Of long journals only both ends are read, unless the run is going on now.
    """
    lives = is_being_written(folder)  # asked first: it may end while its journal is read
    try:
        with (folder / JOURNAL).open("rb") as file:
            first = _event(file.readline())
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            last = _last(file.read())
    except OSError:
        return None
    if not isinstance(first, RunStarted):
        return None
    ended = last if isinstance(last, RunFinished) else None
    if ended is not None:
        status = ended.status
    elif lives:
        status = final_state(folder).status
    else:
        status = RunStatus.INTERRUPTED
    return PastRun(
        run=folder.name,
        cluster=first.plan.cluster,
        machines=first.plan.basis.machines,
        title=first.plan.title,
        by=first.by,
        began=first.at,
        ended=ended.at if ended else None,
        status=status,
    )


def _last(tail: bytes) -> Event | None:
    """The last event of a journal's end; what a kill has torn off is left out."""
    found = (_event(line) for line in reversed(tail.split(b"\n")))
    return next((event for event in found if event is not None), None)


def _event(line: bytes) -> Event | None:
    try:
        return EVENT.validate_json(line)
    except (ValidationError, ValueError):
        return None
