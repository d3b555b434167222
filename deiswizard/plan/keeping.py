"""Keeping the value of a secret key in etcd, so that a change of it can be taken back.

The value stands in no plan: it is copied within etcd before the change, and copied back after.
"""

from __future__ import annotations

import hashlib

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.plan.step import KEPT, CopyKeyStep, RemoveKeyStep, Step
from deiswizard.vocabulary import Danger


def token_of(snapshot: Snapshot, recommendation: str) -> str:
    """What tells a plan made from this snapshot from any other."""
    made_from = f"{recommendation} {snapshot.cluster} {snapshot.taken_at} {snapshot.etcd.index}"
    return hashlib.sha256(made_from.encode()).hexdigest()[:12]


def kept_key(token: str, key: str) -> str:
    """Where a plan keeps the value of ``key``: ``/deiswizard/kept/<token>/deis/router/sslKey``."""
    return f"{KEPT}/{token}{key}"


def keep(token: str, key: str) -> CopyKeyStep:
    """The step before the change. Only for a key that is there."""
    return CopyKeyStep(
        id=f"keep:{key}",
        title=f"keep the value of {key} for the way back",
        source=key,
        key=kept_key(token, key),
        danger=Danger.WRITE,
        undo="the copy is removed",
    )


def put_back(token: str, key: str, changed_by: str, *, was_there: bool) -> tuple[Step, ...]:
    """The steps of the undo, to be stages in this order: the value back, then the copy away.

    ``changed_by`` is the id of the step that changes the key; ``was_there``: it was kept before.
    """
    if not was_there:
        return (
            RemoveKeyStep(
                id=f"back:{key}",
                title=f"remove {key} again",
                key=key,
                danger=Danger.WRITE,
                undoes=(changed_by,),
            ),
        )
    kept = kept_key(token, key)
    return (
        CopyKeyStep(
            id=f"back:{key}",
            title=f"put the former value of {key} back",
            source=kept,
            key=key,
            danger=Danger.WRITE,
            undoes=(changed_by,),
        ),
        RemoveKeyStep(
            id=f"forget:{key}",
            title=f"remove the copy of {key}",
            key=kept,
            danger=Danger.WRITE,
            undoes=(f"keep:{key}",),
        ),
    )
