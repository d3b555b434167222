"""The parts of a backup or a restore: how far each has got, from copy to proof."""

from __future__ import annotations

from collections.abc import Sequence

from deiswizard.plan.backup_steps import BackupStep, BackupTaskStep, RestoreStep
from deiswizard.plan.plan import Plan
from deiswizard.plan.step import Step
from deiswizard.plan.store_steps import BucketStep, DatabaseStep
from deiswizard.run.state import RunState, StepState
from deiswizard.screens.panes.progress import RANK, Row, copy_words
from deiswizard.screens.text import cut, fit
from deiswizard.screens.theme import STYLES, Symbols
from deiswizard.vocabulary import StepStatus

NAME_WIDTH = 10


def _part(step: Step) -> str:
    """The part that a step is about; empty: none."""
    match step:
        case BackupStep():
            return step.source.name
        case BackupTaskStep(task="verify"):
            return step.part
        case RestoreStep():
            return step.part.source.name
        case BucketStep() | DatabaseStep():
            return step.name
    return ""


def _verb(step: Step) -> str:
    match step:
        case BackupStep():
            return "copy"
        case RestoreStep(to="check") | BackupTaskStep():
            return "read again"
        case BucketStep() | DatabaseStep():
            return step.task
    return "restore"


def copy_rows(plan: Plan, state: RunState, width: int, height: int, symbols: Symbols) -> list[Row]:
    """A row for each part: what is done with it now, bytes, rate and time left; the end in words."""
    parts: dict[str, list[tuple[Step, StepState]]] = {}
    for step in plan.steps:
        if name := _part(step):
            parts.setdefault(name, []).append((step, state.steps.get(step.id, StepState())))
    out = []
    for name, pairs in parts.items():
        step, now = _now(pairs)
        done = all(pair[1].status.lets_others_go_on for pair in pairs)
        status = StepStatus.DONE if done else now.status
        left = (
            f" {symbols.of(status)} {fit(status, 8)}{fit(name, NAME_WIDTH)} {fit(_verb(step), 10)} "
        )
        room = max(8, width - len(left))
        words = now.said
        if now.copied is not None and now.status is StepStatus.RUNNING:
            words = copy_words(now.copied, True, room, symbols)
        out.append((cut(left + words, width), STYLES.get(status, "")))
    return out[:height]


def _now(pairs: Sequence[tuple[Step, StepState]]) -> tuple[Step, StepState]:
    """What a part is at: what is bad or going on, else the last thing that was done; a trial tells nothing of it."""
    active = [p for p in pairs if RANK[p[1].status] < RANK[StepStatus.WAITING]]
    if active:
        return active[0]
    ended = [pair for pair in pairs if pair[1].status.lets_others_go_on]
    done = [pair for pair in ended if _verb(pair[0]) != "try"] or ended
    return done[-1] if done else pairs[0]
