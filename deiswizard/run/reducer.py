"""The pure reducer: run state and event to run state. Total: what makes no sense is ignored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from deiswizard.run import events as e
from deiswizard.run.state import LayerState, PullState, RunState, StepState
from deiswizard.vocabulary import RunStatus, StepStatus

V = TypeVar("V")


def reduce(state: RunState, event: e.Event) -> RunState:
    """The state after ``event``."""
    state = replace(state, last_at=event.at)
    match event:
        case e.RunStarted():
            return RunState(
                run=event.run,
                plan=event.plan,
                started_at=event.at,
                last_at=event.at,
                steps=MappingProxyType({step.id: StepState() for step in event.plan.steps}),
            )
        case e.PlanRefused():
            return replace(state, differences=event.differences)
        case e.StageStarted():
            return replace(state, stage=event.stage, status=RunStatus.RUNNING)
        case e.StageFinished() | e.VerifyStarted():
            return replace(
                state, verifying=isinstance(event, e.VerifyStarted), status=_going_on(state)
            )
        case e.HostLost():
            return replace(state, lost=state.lost | {event.host})
        case e.HostReturned():
            return replace(state, lost=state.lost - {event.host})
        case e.DecisionNeeded():
            return replace(state, status=RunStatus.NEEDS_DECISION)
        case e.StopRequested():
            return replace(state, stop_requested=True)
        case e.Verified():
            return replace(state, checks=event.checks, verifying=False)
        case e.RunFinished():
            return replace(
                state,
                status=event.status,
                said=event.said,
                finished_at=event.at,
                verifying=False,
            )
        case e.RetryRequested():
            steps = dict(state.steps)
            for name in event.steps:
                if name in steps:
                    steps[name] = StepState(attempt=steps[name].attempt)
            return replace(
                state, steps=MappingProxyType(steps), status=RunStatus.RUNNING, finished_at=None
            )
        case _:
            return _with_step(state, event)


def _going_on(state: RunState) -> RunStatus:
    """Whatever goes on again has been decided."""
    return RunStatus.RUNNING if state.status is RunStatus.NEEDS_DECISION else state.status


def _with_step(state: RunState, event: e.Event) -> RunState:
    name = getattr(event, "step", "")
    before = state.steps.get(name)
    if before is None:
        return state
    if isinstance(event, e.StepStarted):
        state = replace(state, status=_going_on(state))
    after = _step(before, event)
    return state if after is before else replace(state, steps=_put(state.steps, name, after))


def _put(mapping: Mapping[str, V], key: str, value: V) -> Mapping[str, V]:
    return MappingProxyType({**mapping, key: value})


def _step(step: StepState, event: e.Event) -> StepState:
    match event:
        case e.StepStarted():
            return replace(
                step,
                status=StepStatus.RUNNING,
                attempt=event.attempt,
                started_at=event.at,
                finished_at=None,
                said="",
                do="",
            )
        case e.StepFinished():
            return replace(
                step,
                status=event.status,
                finished_at=event.at,
                code=event.code,
                said=event.said,
                do=event.do,
            )
        case e.StepSkipped():
            return replace(step, status=StepStatus.SKIPPED, finished_at=event.at, said=event.reason)
        case e.WaitPolled():
            return replace(step, said=event.said)
        case e.OutputReceived():
            return replace(
                step,
                last_line=event.lines[-1] if event.lines else step.last_line,
                lines=step.lines + len(event.lines) + event.skipped,
            )
        case e.LayerProgressed():
            pull = step.pulls.get(event.image, PullState(event.image))
            return replace(step, pulls=_put(step.pulls, event.image, _layer(pull, event)))
        case e.ImageChecked():
            pull = step.pulls.get(event.image, PullState(event.image))
            return replace(
                step, pulls=_put(step.pulls, event.image, replace(pull, present=event.present))
            )
    return step


def _layer(pull: PullState, event: e.LayerProgressed) -> PullState:
    """Bytes count while downloading; a finished layer counts whole, extraction adds nothing."""
    before = pull.layers.get(event.layer, LayerState(event.state))
    current, total = before.current, before.total
    if event.state == "Downloading":
        current, total = event.current or current, event.total or total
    elif event.state in ("Download complete", "Pull complete", "Extracting"):
        total = total or (event.total if event.state == "Extracting" else None)
        current = total or current
    layer = LayerState(event.state, current, total)
    moved = current > before.current
    return replace(
        pull,
        layers=_put(pull.layers, event.layer, layer),
        first_at=pull.first_at if pull.first_at is not None else (event.at if moved else None),
        last_at=event.at if moved else pull.last_at,
    )
