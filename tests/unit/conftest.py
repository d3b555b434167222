"""A run of a plan on a cluster in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deiswizard.plan.plan import Plan
from deiswizard.run import follow, pulling, settling
from deiswizard.run.runner import Run
from tests.unit.doing import Doing
from tests.unit.lock_world import World
from tests.unit.memory_cluster import MemoryCluster
from tests.unit.runs import Make


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(plan: Plan, cluster: MemoryCluster, **more: Any) -> Run:
        folder = tmp_path / "20261122-223104"
        folder.mkdir()
        return Run(plan, cluster, folder=folder, **more)

    return made


@pytest.fixture
def doing(monkeypatch: pytest.MonkeyPatch) -> Doing:
    monkeypatch.setattr(pulling, "PAUSE", 0.0)
    monkeypatch.setattr(pulling, "REJOIN_SECONDS", 0.0)
    monkeypatch.setattr(settling, "SETTLE_PAUSE", 0.0)
    monkeypatch.setattr(follow, "FIRST_PAUSE", 0.005)
    monkeypatch.setattr(follow, "TALKING_PAUSE", 0.005)
    return Doing()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.etcd.clock = lambda: made.now
    yield made
    made.etcd.trouble = made.etcd.unheard = None
    for wizard in made.wizards:
        wizard.lock.release()
