"""Runs of etcd's plans on the pretend cluster, in this process, with short waits."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from deiswizard.demo.cluster import PretendCluster
from deiswizard.demo.host import PretendHost
from deiswizard.plan.plan import Plan
from deiswizard.plan.step import WaitStep
from deiswizard.recommendations.etcd import declaration as etcd
from deiswizard.recommendations.etcd.choices import EtcdChoices
from deiswizard.run import events as e
from deiswizard.run import membership
from deiswizard.run.journal import read_journal
from deiswizard.run.runner import Run
from deiswizard.run.state import RunState
from deiswizard.run.undo import undo_plan
from tests.unit.direct import Direct, pretend
from tests.unit.runs import ended

PAUSE = 0.01
Hear = Callable[[e.Event], None]


def quickened(plan: Plan) -> Plan:
    """The same with short waits, and without the copy to this machine."""

    def quick(stage: object) -> object:
        steps = tuple(
            step.model_copy(update={"interval": PAUSE, "timeout": 0.5})
            if isinstance(step, WaitStep)
            else step
            for step in stage.steps  # type: ignore[attr-defined]
        )
        return stage.model_copy(update={"steps": steps})  # type: ignore[attr-defined]

    stages = [
        stage
        for stage in plan.stages
        if not stage.id.startswith("backup") or stage.steps[0].id == "backup:fresh"
    ]
    return plan.model_copy(
        update={"stages": tuple(map(quick, stages)), "undo": tuple(map(quick, plan.undo))}
    )


class EtcdWorld:
    """A pretend cluster, and the runs on it."""

    def __init__(self, cluster: PretendCluster, folder: Path) -> None:
        self.cluster = cluster
        self.direct = Direct(cluster)
        self._folder = folder
        self._numbers = itertools.count(1)

    def host(self, name: str) -> PretendHost:
        return next(host for host in self.cluster.hosts if host.name == name)

    def plan(self, *members: str) -> Plan:
        """For these members; without any for what is advised."""
        snapshot = self.direct.look()
        chosen = EtcdChoices(members=members) if members else etcd.RECOMMENDATION.defaults(snapshot)
        return quickened(etcd.RECOMMENDATION.plan(snapshot, chosen))

    def start(self, plan: Plan, *hear: Hear) -> Run:
        """Begin a run of it."""
        run = self.made(plan, *hear)
        run.start()
        return run

    def made(self, plan: Plan, *hear: Hear) -> Run:
        """A run that has not begun."""
        folder = self._folder / f"20261122-{next(self._numbers):06d}"
        folder.mkdir()
        return self._heard(Run(plan, self.direct, folder=folder), hear)

    def again(self, run: Run, *hear: Hear) -> Run:
        """A run that was cut off, to be taken up again as ``resume`` does: in its own folder."""
        earlier = list(read_journal(run.folder))
        return self._heard(Run(run.plan, self.direct, folder=run.folder, earlier=earlier), hear)

    def start_again(self, run: Run, *hear: Hear) -> Run:
        """Take it up again, and begin."""
        again = self.again(run, *hear)
        again.start()
        return again

    def _heard(self, run: Run, hear: Sequence[Hear]) -> Run:
        for one in hear:
            run.hub.subscribe(one)
        return run

    def do(self, plan: Plan, *hear: Hear) -> RunState:
        """Run it to its end."""
        return ended(self.start(plan, *hear))

    def undo(self, state: RunState) -> RunState:
        """Take a run back, to the end."""
        return self.do(quickened(undo_plan(state, self.direct.look())))

    @property
    def voters(self) -> set[str]:
        """The hosts on etcd's list, started or not."""
        listed = self.cluster.etcd.members.listed()
        return {
            host.name for host in self.cluster.hosts for v in listed if v.peer_url == host.peer_url
        }

    @property
    def has_quorum(self) -> bool:
        self.cluster.etcd.settle()
        return self.cluster.etcd.members.has_quorum

    @property
    def roles(self) -> dict[str, str]:
        """As what each host's etcd runs."""
        self.cluster.etcd.settle()
        return {host.name: host.etcd.mode for host in self.cluster.hosts}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "JOIN_PAUSE", PAUSE)
    monkeypatch.setattr(membership, "SETTLE_PAUSE", PAUSE)


@pytest.fixture
def five(tmp_path: Path, quick: None) -> Iterator[EtcdWorld]:
    with pretend("five") as cluster:
        yield EtcdWorld(cluster, tmp_path)


@pytest.fixture
def fifty(tmp_path: Path, quick: None) -> Iterator[EtcdWorld]:
    with pretend("fifty") as cluster:
        yield EtcdWorld(cluster, tmp_path)
