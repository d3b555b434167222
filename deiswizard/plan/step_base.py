"""What all steps have."""

from __future__ import annotations

from deiswizard.frozen import Frozen
from deiswizard.vocabulary import Danger


class StepBase(Frozen):
    """What all steps have.

    ``host`` is empty for a step that concerns the cluster (an etcd key). ``needs`` names steps of
    the same stage that must be done first. ``timeout`` in seconds. ``undo`` says in words how it
    is taken back, or that it cannot be. ``undoes``, in a step of ``Plan.undo``: the ids of the plan's
    steps whose change it takes back, so that nothing is taken back that a run never did; empty: it
    belongs to the way back as a whole. ``until``: the steps that rest on what this one has seen. While one of
    them is not done, a run that is taken up again does it anew: what it saw is old.
    """

    id: str
    title: str
    host: str = ""
    danger: Danger = Danger.READ
    needs: tuple[str, ...] = ()
    timeout: float = 60.0
    undo: str = ""
    undoes: tuple[str, ...] = ()
    until: tuple[str, ...] = ()
