"""A backup for the screens: a cluster with data, and a run in the middle of its copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deiswizard.plan.backup_steps import BackupStep
from deiswizard.plan.plan import Plan
from deiswizard.run import events as e
from deiswizard.vocabulary import RunStatus, StepStatus
from tests.builders import NOW
from tests.screens.fakes import FakeSession
from tests.unit.test_backup import with_ceph


def copying(plan: Plan) -> list[e.Event]:
    """Settings and database are copied, wal-e's bucket is on its way."""
    copies = [step for step in plan.steps if isinstance(step, BackupStep)]
    events: list[e.Event] = []
    for stage in plan.stages[:2]:
        events.append(e.StageStarted(at=NOW, stage=stage.id))
        events += [
            e.StepFinished(at=NOW + 1, step=step.id, status=StepStatus.DONE) for step in stage.steps
        ]
    events.append(e.StageStarted(at=NOW + 2, stage="copy"))
    for step, said in zip(
        copies, ("14 kB, 212 keys and directories in 0 s", "1.2 GB in 41 s"), strict=False
    ):
        events.append(e.StepStarted(at=NOW + 2, step=step.id))
        events.append(e.StepFinished(at=NOW + 3, step=step.id, status=StepStatus.DONE, said=said))
    going = copies[2].id
    events.append(e.StepStarted(at=NOW + 3, step=going))
    for at, size, count in ((4, 20_000_000, 3), (10, 740_000_000, 61)):
        events.append(
            e.BytesCopied(
                at=NOW + at,
                step=going,
                current=size,
                total=2_700_000_000,
                items=count,
                of_items=233,
            )
        )
    return events


def verified(plan: Plan) -> list[e.Event]:
    """It ended, and was found there."""
    events: list[e.Event] = [
        e.StepFinished(at=NOW + 1, step=step.id, status=StepStatus.DONE) for step in plan.steps
    ]
    checks = (
        e.Check(
            title="a verified backup of now is there",
            ok=True,
            evidence="/srv/backups/deiswizard-prod-eu-20261118-110640, 4.1 GB; its manifest is there",
        ),
        e.Check(title="it holds all that was chosen", ok=True, evidence="etcd, database, db_wal"),
    )
    return [
        *events,
        e.Verified(at=NOW + 2, checks=checks),
        e.RunFinished(at=NOW + 3, status=RunStatus.DONE),
    ]


def data_session(events: Callable[[Plan], Sequence[e.Event]] | None = None) -> FakeSession:
    """A cluster with everything that can be copied."""
    return FakeSession(with_ceph(), events=events)
