"""Ceph's units stop on hosts that leave Ceph at their shutdown: that service does nothing meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deiswizard.cluster.snapshot import HostFacts, Question, Snapshot
from deiswizard.plan.plan import Change, Stage
from deiswizard.recommendations.ceph_shutdown import (
    ARM,
    ASK,
    START,
    arm_step,
    disarm_stage,
    graceful_hosts,
    is_active,
)
from deiswizard.recommendations.planes import units as units_part
from deiswizard.recommendations.planes.facts import ceph_hosts, has_ceph, in_short
from deiswizard.recommendations.planes.passes import Pass
from deiswizard.userdata.roles import CEPH_SHUTDOWN

SHUTDOWN = "planes.shutdown"
TITLE = "Ceph's shutdown service as before"


def questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """Where there is Ceph, each host."""
    if not has_ceph(snapshot):
        return ()
    return tuple(Question(id=SHUTDOWN, host=h.name, command=ASK) for h in snapshot.reachable_hosts)


@dataclass(frozen=True)
class Disarmed:
    """``back`` are those hosts where it is as before once the units are; what leaves Ceph has no use for it."""

    snapshot: Snapshot
    hosts: tuple[HostFacts, ...]
    back: tuple[HostFacts, ...]

    def stages(self) -> tuple[Stage, ...]:
        """Before anything else: all that comes rests on it."""
        return _there((disarm_stage(self.hosts).vital,))

    def afterwards(self) -> tuple[Stage, ...]:
        """When Ceph's units are back."""
        return _there((self._armed("armed", self.back),))

    def undo_first(self) -> tuple[Stage, ...]:
        """Before Ceph's units stop on the way back."""
        stage = disarm_stage(self.back, step="back:armed")
        tied = (s.model_copy(update={"undoes": (s.id.removeprefix("back:"),)}) for s in stage.steps)
        return _there((stage.model_copy(update={"steps": tuple(tied)}),))

    def undo_last(self) -> tuple[Stage, ...]:
        """When all is as it was."""
        return _there((self._armed("back:graceful", tuple(reversed(self.hosts))),))

    def _armed(self, step: str, hosts: Sequence[HostFacts]) -> Stage:
        steps = []
        for host in hosts:
            command = f"{ARM} && {START}" if is_active(self.snapshot, SHUTDOWN, host) else ARM
            undoes = (f"graceful:{host.name}",) if step.startswith("back:") else ()
            steps.append(arm_step(host, command, step, undoes))
        return Stage(id=step, title=TITLE, steps=tuple(steps))


def _there(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    return tuple(stage for stage in stages if stage.steps)


def disarmed(
    snapshot: Snapshot,
    groups: Sequence[units_part.Group],
    passes: Sequence[Pass],
    leavers: Sequence[HostFacts],
) -> Disarmed:
    """Where a unit of Ceph stops: made again, with a fleetd that is restarted, or because its host leaves."""
    restarted = [one.host for one in passes if not one.fleetd.comes_back]
    is_everywhere = any(units_part.touches_ceph(snapshot, group) for group in groups)
    holds = ceph_hosts(snapshot)
    hosts = tuple(
        host
        for host in graceful_hosts(snapshot, SHUTDOWN)
        if host in holds and (is_everywhere or host in restarted or host in leavers)
    )
    return Disarmed(snapshot, hosts, tuple(host for host in hosts if host not in leavers))


def changes(found: Disarmed) -> Iterator[Change]:
    """What stays otherwise than it was."""
    for host in found.hosts:
        if host not in found.back:
            yield Change(
                where=f"{host.name}: {CEPH_SHUTDOWN}",
                current="takes the host out of Ceph",
                desired="does nothing",
                note="the host is not of Ceph any more",
                steps=(f"graceful:{host.name}",),
            )


def notes(found: Disarmed) -> Iterator[str]:
    """What is to be known before."""
    if found.hosts:
        yield (
            f"{in_short([host.name for host in found.hosts])}: {CEPH_SHUTDOWN} would take their data out of Ceph "
            "when Ceph's units stop: it does nothing until they are back, so shut none of them down meanwhile"
        )
