"""Changing one etcd key once, whatever its answers are worth: outcomes are read with a majority."""

from __future__ import annotations

from deiswizard.cluster.access import EtcdAccess
from deiswizard.errors import PlanStaleError, StepError
from deiswizard.plan.step import KEPT, CopyKeyStep, KeyStep, WriteKeyStep
from deiswizard.run.context import Context, Result
from deiswizard.run.settling import settled
from deiswizard.run.state import StepState


def change_key(step: KeyStep, context: Context, before: StepState) -> Result:
    """Write, remove or copy a key. Raises as ``settled``."""
    filled = context.filled(step.value) if isinstance(step, WriteKeyStep) else None

    def wanted(etcd: EtcdAccess) -> str | None:
        """The value that the key shall have; None: it shall be absent."""
        return _of_source(step, etcd) if isinstance(step, CopyKeyStep) else filled

    def send(etcd: EtcdAccess) -> None:
        value = wanted(etcd)
        if value is not None:
            etcd.put(step.key, value, expect=step.expect)
            return
        is_there = _value(etcd, step.key) is not None
        if is_there and step.expect == 0:
            raise PlanStaleError((f"{step.key} was made since",))
        if is_there or step.expect:
            etcd.remove(step.key, expect=step.expect)

    return settled(
        context,
        step.id,
        f"whether {step.key} was written",
        context.access.etcd,
        is_applied=lambda etcd: _value(etcd, step.key) == wanted(etcd),
        send=send,
        is_sent=before.attempt > 0,
    )


def _of_source(step: CopyKeyStep, etcd: EtcdAccess) -> str | None:
    value = _value(etcd, step.source)
    if value is None and step.source.startswith(f"{KEPT}/"):
        raise StepError(
            f"there is nothing at {step.source} to put back",
            state=f"{step.key} is as it was",
            do="it was put back already, or somebody removed it: look at the key's value",
        )
    return value


def _value(etcd: EtcdAccess, key: str) -> str | None:
    """What a majority has at a key; None: there is no such key."""
    fact = etcd.get(key, quorum=True)
    return fact.text if fact else None
