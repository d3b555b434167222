"""A run in a folder of its own, and waits for what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deiswizard.cluster.access import CommandResult
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.plan.plan import Plan
from deiswizard.run import events as e
from deiswizard.run.journal import read_journal
from deiswizard.run.reducer import reduce
from deiswizard.run.runner import Run
from deiswizard.run.state import RunState
from deiswizard.run.undo import undo_plan
from deiswizard.vocabulary import RunStatus, StepStatus
from tests.unit.memory_cluster import LIMIT, Call, MemoryCluster, command, plan_of, stage

Make = Callable[..., Run]


def ended(run: Run) -> RunState:
    """The state at the end, or the failure of the test."""
    state = run.hub.wait_for(lambda state: state.finished_at is not None, LIMIT)
    assert state.finished_at is not None, f"the run hangs: {state.status}"
    return state


def awaited(run: Run, status: RunStatus) -> RunState:
    state = run.hub.wait_for(lambda state: state.status is status, LIMIT)
    assert state.status is status
    return state


def kinds(run: Run) -> list[str]:
    return [event.kind for event in read_journal(run.folder)]


def statuses(state: RunState) -> dict[str, str]:
    return {name: str(step.status) for name, step in state.steps.items()}


def happening(
    make: Make, cluster: MemoryCluster, happens: Callable[[Run], None], **more: Any
) -> RunState:
    """The end of a run of ``one`` and ``two`` on host a, when something happens during ``one``."""
    runs: list[Run] = []

    def one(call: Call) -> CommandResult:
        happens(runs[0])
        return CommandResult(0)

    cluster.hosts["a"].answers["one"] = [one]
    runs.append(make(plan_of(stage(command("one"), command("two"))), cluster, **more))
    runs[0].start()
    return ended(runs[0])


def fails(call: Call) -> CommandResult:
    assert call.on_lines is not None
    call.on_lines("err", ["no room", ""])
    return CommandResult(1)


def way_back_of(plan: Plan, now: Snapshot) -> Plan:
    """The plan that takes back a run of ``plan`` that was done whole."""
    state = reduce(RunState(), e.RunStarted(at=1, run="r1", plan=plan))
    for step in plan.steps:
        state = reduce(state, e.StepFinished(at=2, step=step.id, status=StepStatus.DONE))
    return undo_plan(reduce(state, e.RunFinished(at=3, status=RunStatus.DONE)), now)
