"""One lab for all flows; it is put back before each of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from deiswizard.demo.cluster import PretendCluster
from tests.flows.clusters import Cluster, Pretended, by_bastion, direct
from tests.services.lab import Lab, running, why_no_lab


@pytest.fixture(scope="session")
def aborted_lab() -> set[int]:
    """A lab that was killed in the middle of its life; the processes it had."""
    if reason := why_no_lab():
        can_install = "needs" in reason and os.geteuid() == 0
        assert not (os.environ.get("CI") and can_install), f"CI must run the lab: {reason}"
        pytest.skip(reason)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.services.lab"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and "three hosts" in process.stdout.readline()
    told = subprocess.run(["pgrep", "-f", "deiswizard-lab|/run/docker"], capture_output=True)
    process.kill()
    process.wait()
    return {int(line) for line in told.stdout.split()}


@pytest.fixture(scope="session")
def started_lab(aborted_lab: set[int]) -> Iterator[Lab]:
    """Started over the ruins of one that was killed, as after an aborted test run."""
    with running() as lab:
        yield lab


@pytest.fixture
def lab(started_lab: Lab) -> Lab:
    started_lab.reset()
    return started_lab


@pytest.fixture
def pretend() -> Iterator[PretendCluster]:
    with PretendCluster.start("three", speed=Pretended.fast) as cluster:
        yield cluster
        assert cluster.unknown_commands == ()


@pytest.fixture(params=["demo", "lab"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """The pretend cluster, then the real one."""
    if request.param == "demo":
        return Pretended(request.getfixturevalue("pretend"))
    return direct(request.getfixturevalue("lab"))


@pytest.fixture
def bastion(lab: Lab) -> Cluster:
    """The real one, from outside."""
    return by_bastion(lab)
