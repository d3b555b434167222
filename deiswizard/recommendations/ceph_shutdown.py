"""The service that takes a host out of Ceph at its shutdown, kept from doing so while Ceph's units stop.

``graceful-ceph-shutdown.service`` requires Ceph's units, so it stops with any of them, and its ExecStop
takes this host's data out of Ceph (deis/deis contrib/coreos/user-data.example).
"""

from __future__ import annotations

from collections.abc import Sequence

from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.plan.plan import Stage
from deiswizard.plan.step import CommandStep
from deiswizard.userdata.roles import CEPH_SHUTDOWN
from deiswizard.vocabulary import Danger

DROP_IN = f"/etc/systemd/system/{CEPH_SHUTDOWN}.d/50-deiswizard.conf"
ASK = (
    f"systemctl show {CEPH_SHUTDOWN} -p LoadState -p ActiveState -p UnitFileState; "
    f"test -e {DROP_IN} && echo Disarmed=yes; true"
)
DISARM = (
    f"mkdir -p {DROP_IN.rpartition('/')[0]} && "
    f"printf '[Service]\\nExecStop=\\nExecStop=/bin/true\\n' > {DROP_IN} && systemctl daemon-reload"
)
"""systemd refuses a unit that has neither ExecStart nor ExecStop, so it gets one that does nothing."""

ARM = f"rm -f {DROP_IN} && systemctl daemon-reload"
START = f"systemctl start {CEPH_SHUTDOWN}"
"""What is not started does nothing at a shutdown."""


def _states(snapshot: Snapshot, question: str, host: str) -> dict[str, str]:
    answer = snapshot.answer(question, host)
    lines = answer.out.splitlines() if answer is not None else []
    return dict(line.partition("=")[::2] for line in lines)


def is_active(snapshot: Snapshot, question: str, host: HostFacts) -> bool:
    """It waits for the shutdown of that host."""
    return _states(snapshot, question, host.name).get("ActiveState") == "active"


def graceful_hosts(snapshot: Snapshot, question: str) -> tuple[HostFacts, ...]:
    """Hosts that take their part out of Ceph when they go down, or when one of Ceph's units does.

    ``question`` is the id of the one whose answer holds what ``ASK`` prints.
    """
    return tuple(
        host
        for host in snapshot.hosts
        if is_active(snapshot, question, host)
        or _states(snapshot, question, host.name).get("UnitFileState") == "enabled"
    )


def disarmed_hosts(snapshot: Snapshot, question: str) -> tuple[HostFacts, ...]:
    """Hosts on which a run of the wizard has kept it from doing anything. ``question`` as above."""
    return tuple(
        host
        for host in snapshot.hosts
        if _states(snapshot, question, host.name).get("Disarmed") == "yes"
    )


def disarm_stage(
    hosts: Sequence[HostFacts], command: str = DISARM, *, step: str = "graceful"
) -> Stage:
    """It does nothing any more on these hosts, and goes on doing nothing when it stops with Ceph's units."""
    steps = tuple(
        _step(host, step, "does nothing any more", command, undo="it is as before")
        for host in hosts
    )
    return Stage(id=step, title="Leave Ceph's data where it is", steps=steps)


def arm_step(host: HostFacts, command: str, step: str, undoes: tuple[str, ...] = ()) -> CommandStep:
    """It is as before on a host."""
    made = _step(host, step, "as before", command, undo="it does nothing again")
    return made.model_copy(update={"undoes": undoes})


def _step(host: HostFacts, step: str, becomes: str, command: str, *, undo: str) -> CommandStep:
    return CommandStep(
        id=f"{step}:{host.name}",
        title=f"{CEPH_SHUTDOWN} {becomes}",
        host=host.name,
        command=command,
        sudo=True,
        is_repeatable=True,
        danger=Danger.WRITE,
        undo=undo,
    )
