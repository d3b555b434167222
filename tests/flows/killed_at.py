"""A wizard that is killed with -9 at a chosen moment of a chosen step, run as a process of its own.

``python -m tests.flows.killed_at STEP MOMENT TARGET.json HOST``: the product's own run of a plan
that has a step of every kind, with nothing replaced; only the moment of the kill is chosen.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deiswizard.cluster.unit_files import digest
from deiswizard.commands.opening import TerminalAsker
from deiswizard.inventory import saved_target
from deiswizard.plan.conditions import CommandSays, KeyIs
from deiswizard.plan.fleet_steps import DestroyUnitStep, SubmitUnitStep
from deiswizard.plan.keeping import kept_key
from deiswizard.plan.plan import Basis, Impact, KeyBasis, Plan, Stage
from deiswizard.plan.step import (
    CommandStep,
    CopyKeyStep,
    GuardStep,
    JobStep,
    PullStep,
    RemoveKeyStep,
    UploadStep,
    WaitStep,
    WriteKeyStep,
)
from deiswizard.run import events as e
from deiswizard.session import Session
from deiswizard.vocabulary import Danger, JobWay

WRITTEN, REMOVED = "/deis/killed/written", "/deis/killed/removed"
KEPT = kept_key("killed", REMOVED)
UPLOADED, COMMANDED, WORKED = "/home/core/uploaded", "/home/core/commanded", "/home/core/worked"
IMAGE = "alpine:3.2"
UNIT = "deiswizard-killed.service"
UNIT_FILE = """[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true

[X-Fleet]
Global=true
"""
STEPS = (
    "guard",
    "write",
    "keep",
    "remove",
    "upload",
    "command",
    "job",
    "pull",
    "submit",
    "destroy",
    "wait",
)
MOMENTS = ("before", "during", "after")


def plan_on(host: str, cluster: str, removed_index: int, taken_at: float) -> Plan:
    """Every kind of step, one after the other."""
    write = Danger.WRITE
    steps = (
        GuardStep(
            id="guard",
            title="the shell answers",
            host=host,
            condition=CommandSays(host=host, command="echo yes", pattern="yes"),
            otherwise="no",
        ),
        WriteKeyStep(id="write", title="write", key=WRITTEN, value="new", expect=0, danger=write),
        CopyKeyStep(id="keep", title="keep", source=REMOVED, key=KEPT, expect=0, danger=write),
        RemoveKeyStep(id="remove", title="remove", key=REMOVED, expect=removed_index, danger=write),
        UploadStep(
            id="upload",
            title="upload",
            host=host,
            path=UPLOADED,
            content="x\n",
            expect="",
            danger=write,
        ),
        CommandStep(
            id="command", title="command", host=host, command=f"echo x >> {COMMANDED}", danger=write
        ),
        JobStep(
            id="job",
            title="job",
            host=host,
            command=f"echo begun; sleep 1; echo x >> {WORKED}; echo ended",
            way=JobWay.UNIT,
            danger=write,
        ),
        PullStep(id="pull", title="pull", host=host, image=IMAGE, way=JobWay.UNIT, danger=write),
        SubmitUnitStep(
            id="submit", title="submit", unit=UNIT, content=UNIT_FILE, danger=Danger.RESTART
        ),
        DestroyUnitStep(
            id="destroy",
            title="destroy",
            unit=UNIT,
            expect=(digest(UNIT_FILE),),
            danger=Danger.DESTROY,
        ),
        WaitStep(
            id="wait",
            title="wait",
            condition=KeyIs(key=WRITTEN, value="new"),
            waiting_for="the key",
            interval=0.2,
        ),
    )
    return Plan(
        recommendation="preseed",
        title="Every kind of step",
        cluster=cluster,
        stages=tuple(Stage(id=step.id, title=step.title, steps=(step,)) for step in steps),
        impact=Impact(danger=Danger.WRITE),
        basis=Basis(
            taken_at=taken_at,
            keys=(
                KeyBasis(key=WRITTEN, index=0),
                KeyBasis(key=REMOVED, index=removed_index),
                KeyBasis(key=KEPT, index=0),
            ),
        ),
        is_undo=True,
    )


def die() -> None:
    """As the kernel would."""
    os.kill(os.getpid(), signal.SIGKILL)


class Deadly:
    """Does what it is asked, then dies before anybody hears of it."""

    def __init__(self, real: Any, methods: tuple[str, ...], when: Callable[[], bool]) -> None:
        self._real = real
        self._methods = methods
        self._when = when

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name not in self._methods:
            return found

        def deadly(*args: Any, **options: Any) -> Any:
            answer = found(*args, **options)
            if self._when():
                die()
            return answer

        return deadly


def arm(session: Session, step: str, moment: str) -> Callable[[e.Event], None]:
    """Make a session die at a moment of a step of its next run; what must hear that run's events."""
    running = [""]

    def hear(event: e.Event) -> None:
        if isinstance(event, e.StepStarted):
            running[0] = event.step
        if getattr(event, "step", "") != step:
            return
        if isinstance(event, e.StepStarted) and moment == "before":
            die()
        if isinstance(event, e.StepFinished) and moment == "after":
            die()
        if isinstance(event, e.JobStarted | e.LayerProgressed) and moment == "during":
            die()

    def is_now() -> bool:
        return moment == "during" and running[0] == step and step not in ("job", "pull")

    access: Any = session.access
    etcd, on_host, fleet = access.etcd, access.host, access.fleet
    access.etcd = lambda: Deadly(etcd(), CHANGES_OF_ETCD, is_now)
    access.fleet = lambda: Deadly(fleet(), ("put", "delete"), is_now)
    access.host = lambda name: Deadly(on_host(name), ("run", "upload"), is_now)
    return hear


CHANGES_OF_ETCD = ("put", "remove", "get", "add_member", "remove_member")


def main() -> None:
    """Run until killed."""
    step, moment, target, host = sys.argv[1:]
    session = Session.open(saved_target(Path(target)), TerminalAsker())
    before = session.look()
    removed = before.key(REMOVED)
    assert removed is not None
    hear = arm(session, step, moment)
    plan = plan_on(host, before.cluster, removed.index, before.taken_at)
    run = session.start(plan, before=before, on_event=hear)
    run.wait()
    sys.exit(f"not killed: {run.hub.state.status} {run.hub.state.said}")


if __name__ == "__main__":
    main()
