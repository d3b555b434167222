"""Fifty hosts, five of which fail: the others are done, the five are named, and only they are left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.demo.cluster import PretendCluster
from deiswizard.run import events as e
from deiswizard.run.folders import find_run
from deiswizard.run.journal import read_journal
from tests.flows.checks import answers
from tests.flows.clusters import target_flags
from tests.flows.commands import deiswizard

IMAGE = "deis/router:v1.13.4"
BROKEN = ("deis-7", "deis-19", "deis-23", "deis-31", "deis-50")


@pytest.fixture
def fifty() -> Iterator[PretendCluster]:
    with PretendCluster.start("fifty", speed=50.0) as cluster:
        yield cluster


def test_five_of_fifty_hosts_fail(fifty: PretendCluster, tmp_path: Path) -> None:
    flags = target_flags(fifty.target)
    reachable = [host for host in fifty.hosts if not host.is_down]
    chosen = answers(
        tmp_path, "preseed:\n  method: pull\n  extra_images: []\n  hosts_at_a_time: 16\n"
    )
    plan = str(tmp_path / "plan.json")
    made = deiswizard("plan", "preseed", "-a", chosen, "-o", plan, *flags)
    assert made.code == 0, made.err
    for host in fifty.hosts:
        if host.name in BROKEN:
            host.engine_runs = False
    said = deiswizard("apply", plan, "--yes", *flags)
    assert said.code == 1, said.err
    told = json.loads(deiswizard("show", "last", "--json").out)
    pulls = {
        name: step["status"] for name, step in told["steps"].items() if name.startswith("pull:")
    }
    failed = {name.split(":")[1] for name, status in pulls.items() if status != "done"}
    assert failed == set(BROKEN)
    for host in fifty.hosts:
        host.engine_runs = True
    first = sum(isinstance(event, e.JobStarted) for event in read_journal(find_run("last")))
    resumed = deiswizard("resume", "last", "--yes")
    assert resumed.code == 0, resumed.err
    events = list(read_journal(find_run("last")))
    begun = [event.step for event in events if isinstance(event, e.JobStarted)][first:]
    assert begun and {step.split(":")[1] for step in begun} == set(BROKEN)
    assert all(host.engine.has(IMAGE) for host in reachable)
