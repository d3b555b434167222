"""A run of a plan on a cluster in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deiswizard.plan.plan import Plan
from deiswizard.run.runner import Run
from tests.unit.memory_cluster import MemoryCluster
from tests.unit.runs import Make


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(plan: Plan, cluster: MemoryCluster, **more: Any) -> Run:
        folder = tmp_path / "20261122-223104"
        folder.mkdir()
        return Run(plan, cluster, folder=folder, **more)

    return made
