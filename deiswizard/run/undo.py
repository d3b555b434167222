"""The inverse of a run, as a plan like any other."""

from __future__ import annotations

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.plan import Basis, Change, KeyBasis, Plan
from deiswizard.plan.step import RemoveKeyStep, Step, WriteKeyStep
from deiswizard.redaction import MASK
from deiswizard.run.events import Check
from deiswizard.run.state import RunState, StepState
from deiswizard.vocabulary import Danger, StepStatus


def undo_plan(state: RunState, snapshot: Snapshot) -> Plan:
    """The plan that takes a run back, made from a new snapshot.

    Raises:
        PreconditionError: the run changed nothing, or cannot be taken back; says why.
    """
    plan = state.plan
    if plan is None:
        raise PreconditionError("this run never began")
    if not plan.undo:
        raise PreconditionError(f"'{plan.title}' is not taken back by a run", said=plan.impact.undo)
    if not any(_may_have_changed(step, state.steps[step.id]) for step in plan.steps):
        raise PreconditionError("this run changed nothing", do="there is nothing to take back")
    if any(MASK in stage.model_dump_json() for stage in plan.undo):
        raise PreconditionError(
            "this run's way back holds words that were kept out of its journal as secrets",
            do="take it back by hand: " + plan.impact.undo,
        )
    keys = [
        step.key
        for stage in plan.undo
        for step in stage.steps
        if isinstance(step, WriteKeyStep | RemoveKeyStep)
    ]
    facts = {key: snapshot.key(key) for key in keys}
    return plan.model_copy(
        update={
            "title": f"Undo: {plan.title}",
            "changes": tuple(
                Change(where=c.where, current=c.desired, desired=c.current, note=c.note)
                for c in plan.changes
            ),
            "stages": plan.undo,
            "undo": (),
            "is_undo": True,
            "impact": plan.impact.model_copy(
                update={"undo": "run the recommendation again to have it back"}
            ),
            "basis": Basis(
                taken_at=snapshot.taken_at,
                etcd_index=snapshot.etcd.index,
                keys=tuple(
                    KeyBasis(key=key, index=fact.index if fact else 0)
                    for key, fact in facts.items()
                ),
                machines=tuple(sorted(host.machine_id for host in snapshot.hosts)),
            ),
        }
    )


def _may_have_changed(step: Step, now: StepState) -> bool:
    """Done, or begun and not known to have left all as it was: a failed command may have acted."""
    done = (StepStatus.DONE, StepStatus.WARNING, StepStatus.UNKNOWN, StepStatus.RUNNING)
    acted = now.status is StepStatus.FAILED and now.code is not None
    return step.danger is not Danger.READ and (now.status in done or acted)


def verify_undo(plan: Plan, after: Snapshot) -> tuple[Check, ...]:
    """Whether the keys are again as the plan wanted them."""
    checks = []
    for step in plan.steps:
        if isinstance(step, WriteKeyStep | RemoveKeyStep):
            wanted = step.value if isinstance(step, WriteKeyStep) else None
            fact = after.key(step.key)
            now = fact.value if fact else None
            checks.append(
                Check(
                    title=f"{step.key} is {wanted or 'absent'} again",
                    ok=now == wanted,
                    evidence=f"it is {now or 'absent'}",
                )
            )
    return tuple(checks)
