"""Runs of the past: a row for each, and what is known of one. Pure functions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from textual.content import Content

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.run.history import PastRun
from deiswizard.run.state import RunState
from deiswizard.run.summary import lines
from deiswizard.run.undo import why_no_undo
from deiswizard.screens.text import cut, fit, hanging
from deiswizard.screens.theme import STYLES, Symbols
from deiswizard.vocabulary import StepStatus
from deiswizard.wording import at_time, counted, in_time

COLUMNS = ("When", "What", "Status", "Cluster", "By")
WHEN, STATUS = 11, 16
LABEL = 9
"""Cells of a label, the space after it included."""


def here_first(
    runs: Sequence[PastRun], snapshot: Snapshot | None
) -> tuple[tuple[PastRun, ...], int]:
    """The runs on the cluster of ``snapshot`` before those on others, and how many they are."""
    here = [run for run in runs if is_here(run, snapshot)]
    return (*here, *(run for run in runs if run not in here)), len(here)


def is_here(run: PastRun, snapshot: Snapshot | None) -> bool:
    """Whether a run was on the cluster of ``snapshot``."""
    return snapshot is not None and snapshot.is_of(run.cluster, run.machines)


def widths(width: int) -> tuple[int, ...]:
    """Cells of each column, of a table of ``width`` cells: one before each, one for a scrollbar."""
    room = max(30, width - WHEN - STATUS - len(COLUMNS) - 1)
    by = max(6, min(20, room * 18 // 100))
    cluster = max(10, min(30, room * 32 // 100))
    return WHEN, room - cluster - by, STATUS, cluster, by


def cells(run: PastRun, now: float, width: int, symbols: Symbols) -> tuple[str, ...]:
    """A row: when, what, status, cluster, by whom (without the machine where it does not fit)."""
    rooms = widths(width)
    by = run.by if len(run.by) <= rooms[-1] else run.by.partition("@")[0]
    status = f"{symbols.of(run.status)} {run.status}"
    texts = (when(run.began, now), run.title, status, run.cluster, by or "?")
    return tuple(f" {fit(text, room)}" for text, room in zip(texts, rooms, strict=True))


def when(at: float, now: float) -> str:
    """``11-22 22:31``; ``2025-11-22`` where it was in another year."""
    then = time.localtime(at)
    is_this_year = then.tm_year == time.localtime(now).tm_year
    return time.strftime("%m-%d %H:%M" if is_this_year else "%Y-%m-%d", then)


def counted_runs(count: int, here: int) -> str:
    """How many runs there are, and how many of them on this cluster."""
    if here == count:
        return f"{counted(count, 'run')} on this cluster"
    others = f"{counted(count - here, 'run')} on other clusters"
    return f"{counted(here, 'run')} on this cluster, then {others}" if here else others


def details(state: RunState, kept: Path, is_here: bool, width: int) -> Content:
    """The whole story of a run, as ``deiswizard show`` tells it, and where its record is."""
    first, *rest = lines(state)
    parts: list[str | tuple[str, str]] = [
        (f"{line}\n", f"bold {STYLES.get(state.status, '')}".strip())
        for line in hanging("", cut(first, 3 * width), 0, width)
    ]
    for label, text in _facts(state, kept, is_here):
        parts += [f"{line}\n" for line in hanging(label, text, LABEL, width)]
    parts.append("\n")
    for line in rest:
        parts += _told(line[2:], width)
    return Content.assemble(*parts).rstrip()


def _facts(state: RunState, kept: Path, is_here: bool) -> list[tuple[str, str]]:
    began, ended = state.started_at, state.finished_at
    facts = [("By", state.by or "not recorded")]
    if began is not None and ended is not None:
        facts.append(("Ended", f"{at_time(ended)}, after {in_time(max(0.0, ended - began))}"))
    refusal = why_no_undo(state)
    if state.plan is not None and not state.plan.undo:
        facts.append(("Undo", state.plan.impact.undo or "not needed"))
    elif refusal is not None:
        facts.append(("Undo", str(refusal)))
    elif not is_here:
        facts.append(("Undo", "it was on another cluster: connect to that one"))
    else:
        facts.append(("Undo", "u shows the plan that takes it back"))
    return [*facts, ("Record", str(kept))]


def _told(line: str, width: int) -> list[str | tuple[str, str]]:
    """A line of the story, broken for the width; a step's status in its colour."""
    text = line.lstrip()
    indent = len(line) - len(text)
    word, _, title = text.partition(" ")
    if indent and word in list(StepStatus):
        at = indent + LABEL
        first, *more = hanging(" " * at, title.lstrip(), at, width)
        status = (f"{'':{indent}}{word:{LABEL}}", STYLES.get(word, ""))
        return [status, f"{first[at:]}\n", *(f"{line}\n" for line in more)]
    style = "$warning" if text.startswith(("check: NOT ok", "changed meanwhile")) else ""
    return [(f"{part}\n", style) for part in hanging(" " * indent, text, indent, width)]
