"""The pure reducer: run state and event to run state. Total: what makes no sense is ignored."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from deiswizard.cluster.jobs import Job
from deiswizard.plan.etcd_steps import AddMemberStep, RemoveMemberStep
from deiswizard.plan.step import CommandStep, GuardStep, Step
from deiswizard.run import events as e
from deiswizard.run.etcd_view import EtcdView, seen
from deiswizard.run.state import CopyState, LayerState, PullState, RunState, StepState
from deiswizard.vocabulary import RunStatus, StepStatus

V = TypeVar("V")

CUT_OFF = (StepStatus.RUNNING, StepStatus.UNKNOWN)
MAY_HAVE_RUN = "it was going on when the run was cut off; whether it ran to its end is not known"


def reduce(state: RunState, event: e.Event) -> RunState:
    """The state after ``event``."""
    state = replace(state, last_at=event.at)
    match event:
        case e.RunStarted():
            return RunState(
                run=event.run,
                plan=event.plan,
                by=event.by,
                wizard=event.wizard,
                started_at=event.at,
                last_at=event.at,
                steps=MappingProxyType({step.id: StepState() for step in event.plan.steps}),
            )
        case e.RunResumed():
            return _resumed(state)
        case e.RunLeft():
            return replace(state, status=RunStatus.INTERRUPTED, said=event.said, verifying=False)
        case e.PlanRefused():
            return replace(state, differences=event.differences)
        case e.LockRefused():
            return replace(state, held_by=event.holder)
        case e.LockAcquired():
            return replace(state, lock=event.lock)
        case e.LockUnconfirmed():
            return replace(state, lock_unconfirmed=event.until)
        case e.LockConfirmed():
            return replace(state, lock_unconfirmed=None)
        case e.LockLost():
            return replace(state, lock_lost=event.said, lock_unconfirmed=None)
        case e.RecordingEnded():
            return replace(state, recording_ended=event.said)
        case e.LockReleased():
            return replace(state, lock=None)
        case e.StageStarted():
            return replace(state, stage=event.stage, status=RunStatus.RUNNING)
        case e.StageFinished() | e.VerifyStarted():
            return replace(
                state, verifying=isinstance(event, e.VerifyStarted), status=_going_on(state)
            )
        case e.HostLost():
            return replace(state, lost={event.host: event.at, **state.lost})
        case e.HostReturned():
            return replace(
                state, lost={host: at for host, at in state.lost.items() if host != event.host}
            )
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
        case e.MembersSeen() | e.MemberAdded() | e.MemberRemoved():
            return replace(state, etcd=seen(state.etcd or EtcdView(), event, _changing(state)))
        case e.RetryRequested():
            steps = dict(state.steps)
            for name in event.steps:
                if name in steps:
                    steps[name] = steps[name].again()
            return replace(
                state, steps=MappingProxyType(steps), status=RunStatus.RUNNING, finished_at=None
            )
        case _:
            return _with_step(state, event)


def _resumed(state: RunState) -> RunState:
    """What is done stays done and what was left out stays out; all else waits once more.

    Guards, and what else others rest on, look again while those are not done: what they saw is old. A short command that
    was cut off stays unknown, because nobody but the operator may say that it is run a second time.
    """
    steps = {}
    for step in state.plan.steps if state.plan else ():
        before = state.steps[step.id]
        if before.status is StepStatus.SKIPPED:
            steps[step.id] = before
        elif _is_in_doubt(step) and before.status in CUT_OFF:
            steps[step.id] = replace(before, status=StepStatus.UNKNOWN, said=MAY_HAVE_RUN)
        elif before.status.lets_others_go_on and not _is_rested_on(step, state):
            steps[step.id] = before
        else:
            steps[step.id] = before.again()
    return replace(
        state,
        steps=MappingProxyType(steps),
        status=RunStatus.RUNNING,
        said="",
        finished_at=None,
        stage="",
        lost={},
        verifying=False,
        checks=(),
        differences=(),
        stop_requested=False,
        lock=None,
        lock_lost="",
        held_by=None,
    )


def _changing(state: RunState) -> frozenset[str]:
    """Peer URLs of members that a step has begun to change, or has changed."""
    steps = state.plan.steps if state.plan else ()
    return frozenset(
        step.peer.peer_url
        for step in steps
        if isinstance(step, AddMemberStep | RemoveMemberStep)
        and state.steps[step.id].may_have_acted
    )


def _is_rested_on(step: Step, state: RunState) -> bool:
    """Something that rests on what it saw is not done. A guard that names nothing guards all.

    A way back holds only what is to be taken back, so some of what is named may not be in it.
    """
    if not step.until:
        return isinstance(step, GuardStep)
    rest = [state.steps[name] for name in step.until if name in state.steps]
    return any(not one.status.lets_others_go_on for one in rest)


def rested_on_by(steps: Collection[str], state: RunState) -> set[str]:
    """What these need, at whatever distance, and what must be seen anew for them: a decision may take hours."""
    known = {step.id: step for step in (state.plan.steps if state.plan else ())}
    needed: set[str] = set()
    left = set(steps)
    while left:
        left = {need for name in left for need in known[name].needs} - needed
        needed |= left
    return {name for name in needed if _is_rested_on(known[name], state)}


def _is_in_doubt(step: Step) -> bool:
    """Once it was cut off, nobody but the operator may say that it is run a second time."""
    return isinstance(step, CommandStep) and not step.is_repeatable


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
                copied=None,
                started_at=event.at,
                finished_at=None,
                said="",
                do="",
            )
        case e.JobPrepared():
            return replace(step, job=event.job, has_job_begun=False)
        case e.JobStarted():
            return replace(step, has_job_begun=True)
        case e.JobGone():
            return replace(step, job=None, has_job_begun=False)
        case e.StepFinished():
            return replace(
                step,
                job=step.job if event.status is StepStatus.UNKNOWN else None,
                status=event.status,
                finished_at=event.at,
                code=event.code,
                said=event.said,
                do=event.do,
            )
        case e.StepSkipped():
            return replace(
                step,
                status=StepStatus.SKIPPED,
                finished_at=event.at,
                said=event.reason,
                skipped_by=event.by,
                acted_before=step.may_have_acted,
            )
        case e.WaitPolled():
            return replace(step, said=event.said)
        case e.OutputReceived():
            return replace(
                step,
                last_line=event.lines[-1] if event.lines else step.last_line,
                lines=step.lines + len(event.lines) + event.skipped,
                job=_read_to(step.job, event.cursor),
            )
        case e.LayerProgressed():
            pull = step.pulls.get(event.image, PullState(event.image))
            return replace(step, pulls=_put(step.pulls, event.image, _layer(pull, event)))
        case e.BytesCopied():
            return replace(step, copied=_copy(step.copied, event))
        case e.ImageChecked():
            pull = step.pulls.get(event.image, PullState(event.image))
            return replace(
                step, pulls=_put(step.pulls, event.image, replace(pull, present=event.present))
            )
    return step


def _read_to(job: Job | None, cursor: str) -> Job | None:
    return job.model_copy(update={"cursor": cursor}) if job is not None and cursor else job


def _copy(before: CopyState | None, event: e.BytesCopied) -> CopyState:
    """The rate counts from the first word: what an earlier attempt had took no time."""
    start = before or CopyState(first_at=event.at, first_bytes=event.current)
    return replace(
        start,
        current=event.current,
        total=event.total,
        items=event.items,
        of_items=event.of_items,
        last_at=event.at,
    )


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
