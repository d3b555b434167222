"""A look at etcd's list while a run changes it, so that changes by others are seen, too."""

from __future__ import annotations

import threading
from collections.abc import Callable

from deiswizard.cluster.access import ClusterAccess
from deiswizard.cluster.snapshot import Member
from deiswizard.errors import WizardError
from deiswizard.plan.etcd_steps import AddMemberStep, RemoveMemberStep
from deiswizard.plan.plan import Plan
from deiswizard.run.events import Event, MembersSeen

WATCH_SECONDS = 2.0


def watch_members(
    plan: Plan,
    access: ClusterAccess,
    emit: Callable[[Event], None],
    ended: threading.Event,
    clock: Callable[[], float],
) -> None:
    """Watch in a thread until ``ended``, where the plan changes members; others need not be told."""
    if any(isinstance(step, AddMemberStep | RemoveMemberStep) for step in plan.steps):
        told = (access, emit, ended, clock)
        threading.Thread(target=_watch, args=told, name="members", daemon=True).start()


def _watch(
    access: ClusterAccess,
    emit: Callable[[Event], None],
    ended: threading.Event,
    clock: Callable[[], float],
) -> None:
    """Tell whenever the list has become another. Asks no host."""
    last: tuple[Member, ...] = ()
    while not ended.wait(WATCH_SECONDS):
        try:
            now = access.etcd().members()
        except WizardError:
            continue  # the steps say so themselves
        if now != last and not ended.is_set():
            last = now
            emit(MembersSeen(at=clock(), members=now))
