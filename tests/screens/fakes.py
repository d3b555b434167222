"""A session in memory for the screens: real snapshots, real plans, real events, no cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from deiswizard.cluster.asking import Asker, ConnectProgress
from deiswizard.cluster.snapshot import Lock, Snapshot
from deiswizard.errors import PreconditionError, WizardError
from deiswizard.inventory import Target
from deiswizard.plan.plan import Plan
from deiswizard.plan.reach import Reach, reach_of
from deiswizard.plan.step import PullStep
from deiswizard.run import events as e
from deiswizard.run.hub import Hub
from deiswizard.run.resume import Unfinished
from deiswizard.run.state import RunState
from deiswizard.screens.app import WizardApp
from deiswizard.vocabulary import RunStatus, StepStatus
from tests.builders import NOW, snapshot


class StillRun:
    """A run that stands where its events left it; records what the operator asks for."""

    is_ours = True

    def __init__(self, plan: Plan, events: Sequence[e.Event] = ()) -> None:
        self.plan = plan
        self.id = "20261122-223104"
        self.folder = Path("/home/core/.local/state/deiswizard/runs/20261122-223104")
        self.hub = Hub()
        self.asked: list[tuple[str, Any]] = []
        self.ended = threading.Event()
        self.hub.emit(e.RunStarted(at=NOW, run=self.id, plan=plan))
        for event in events:
            self.hub.emit(event)

    def wait(self, timeout: float | None = None) -> RunState:
        return self.hub.state

    def retry(self, steps: Sequence[str] | None = None) -> None:
        self.asked.append(("retry", steps))

    def skip(self, step: str, reason: str) -> None:
        self.asked.append(("skip", (step, reason)))

    def stop(self, *, now: bool = False) -> None:
        self.asked.append(("stop", now))
        self.hub.emit(
            e.RunFinished(at=NOW + 60, status=RunStatus.STOPPED, said="stopped by the operator")
        )
        self.ended.set()

    def leave(self, said: str) -> None:
        self.asked.append(("leave", said))
        self.hub.emit(e.RunLeft(at=NOW + 60, said=said))
        self.ended.set()


class FakeSession:
    """Answers looks, and who holds the lock, from lists; the last one stays."""

    def __init__(
        self,
        *looks: Snapshot | WizardError,
        events: Callable[[Plan], Sequence[e.Event]] | None = None,
        holders: Sequence[Lock | WizardError | None] = (None,),
    ) -> None:
        self.holders = list(holders)
        self.broken: list[str] = []
        self.secrets: list[dict[str, SecretStr]] = []
        self.looks = list(looks) or [snapshot()]
        self.events = events or (lambda plan: ())
        self.runs: list[StillRun] = []
        self.resumed: list[Unfinished] = []
        self.handed_over: list[Path] = []
        self.refuses_hand_over = False
        self.outlives_us = True
        self.name = "prod-eu"

    def look(self) -> Snapshot:
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(found, WizardError):
            raise found
        return found

    def resume(
        self,
        cut_off: Unfinished,
        *,
        before: Snapshot,
        secrets: Mapping[str, SecretStr] | None = None,
        interactive: bool = False,
    ) -> StillRun:
        self.resumed.append(cut_off)
        self.secrets.append(dict(secrets or {}))
        self.runs.append(StillRun(cut_off.plan, cut_off.events[1:]))
        return self.runs[-1]

    def hand_over(self, folder: Path) -> int:
        self.handed_over.append(folder)
        if self.refuses_hand_over:
            raise PreconditionError(
                "the run cannot go on without this program", said="a passphrase"
            )
        return 4711

    def reach(self, snapshot: Snapshot) -> Reach:
        target = Target(host="10.21.2.11")
        return reach_of(target, snapshot, entry_name="deis-1", dialled=target.host)

    def lock_holder(self) -> Lock | None:
        found = self.holders.pop(0) if len(self.holders) > 1 else self.holders[0]
        if isinstance(found, WizardError):
            raise found
        return found

    def start(
        self,
        plan: Plan,
        *,
        before: Snapshot,
        secrets: Mapping[str, SecretStr] | None = None,
        interactive: bool = False,
        break_lock: str = "",
    ) -> StillRun:
        self.broken.append(break_lock)
        self.secrets.append(dict(secrets or {}))
        self.runs.append(StillRun(plan, self.events(plan)))
        return self.runs[-1]

    def close(self) -> None:
        """Nothing is open."""


def app_on(
    session: FakeSession, *, ascii_only: bool = False, open_first: str = "", demo: str = ""
) -> WizardApp:
    """The app, connected to ``session``, with a clock that stands still."""

    def start(
        address: str, asker: Asker, on_progress: Callable[[ConnectProgress], None]
    ) -> FakeSession:
        return session

    return WizardApp(
        start=start,
        address="core@10.21.2.11",
        ascii_only=ascii_only,
        open_first=open_first,
        demo=demo,
        clock=lambda: NOW + 12,
    )


def halfway(plan: Plan, *, fails: bool = False) -> list[e.Event]:
    """A preseed in the middle of its pulls: one done, one going on, one failed if asked for."""
    pulls = [step for step in plan.steps if isinstance(step, PullStep)]
    events: list[e.Event] = [e.StageStarted(at=NOW, stage="guards")]
    events += [
        e.StepFinished(at=NOW + 1, step=step.id, status=StepStatus.DONE)
        for step in plan.stages[0].steps
    ]
    events.append(e.StageStarted(at=NOW + 2, stage="pull"))

    def layers(step: PullStep, at: float, state: str, current: int | None) -> list[e.Event]:
        return [
            e.LayerProgressed(at=at, step=step.id, image=step.image, layer=f"{n:012x}", state=state,
                              current=current, total=70_000_000 if current else None)
            for n in range(3)
        ]  # fmt: skip

    first, second, third = pulls[0], pulls[1], pulls[-1]
    events += [
        e.StepStarted(at=NOW + 2, step=first.id),
        *layers(first, NOW + 3, "Downloading", 70_000_000),
    ]
    events += [
        *layers(first, NOW + 4, "Pull complete", None),
        e.StepFinished(at=NOW + 5, step=first.id, status=StepStatus.DONE),
    ]
    events += [
        e.StepStarted(at=NOW + 5, step=second.id),
        *layers(second, NOW + 5, "Downloading", 10_000_000),
    ]
    events += layers(second, NOW + 8, "Downloading", 40_000_000)
    events.append(e.StepStarted(at=NOW + 5, step=third.id))
    if fails:
        events.append(
            e.StepFinished(
                at=NOW + 9, step=third.id, status=StepStatus.FAILED,
                said=f"{third.image}: there is no room left for the image: write /var/lib/docker/tmp/x: no space left on device",
                do="free space on Docker's disk of that host, then try again",
            )
        )  # fmt: skip
        events.append(e.DecisionNeeded(at=NOW + 10, stage="pull", failed=(third.id,)))
    return events


def finished(plan: Plan, *, ok: bool = True) -> list[e.Event]:
    """A run that ended."""
    events: list[e.Event] = [
        e.StepFinished(at=NOW + 1, step=step.id, status=StepStatus.DONE) for step in plan.steps
    ]
    checks = (
        e.Check(title="deis-2 has every image", ok=True, evidence="7 of 7 in the engine's list"),
        e.Check(title="deis-3 has every image", ok=ok, evidence="7 of 7 in the engine's list"),
    )
    status = RunStatus.DONE if ok else RunStatus.FAILED
    said = "" if ok else "1 of 2 checks did not hold: deis-3 has every image"
    return [
        *events,
        e.Verified(at=NOW + 2, checks=checks),
        e.RunFinished(at=NOW + 3, status=status, said=said),
    ]
