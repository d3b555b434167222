"""The two clusters of every flow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deiswizard.commands.opening import TerminalAsker
from deiswizard.demo.cluster import PretendCluster
from deiswizard.session import Session
from tests.flows.clusters import Cluster, Pretended, Real, by_bastion, direct
from tests.lab.lab import Lab


@pytest.fixture
def pretend() -> Iterator[PretendCluster]:
    with PretendCluster.start("three", speed=Pretended.fast) as cluster:
        yield cluster
        assert cluster.unknown_commands == ()


@pytest.fixture
def pretended(pretend: PretendCluster) -> Pretended:
    """The pretend cluster, for what needs no other."""
    return Pretended(pretend)


@pytest.fixture(params=["demo", "lab"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """The pretend cluster, then the real one."""
    if request.param == "demo":
        return Pretended(request.getfixturevalue("pretend"))
    return direct(request.getfixturevalue("lab"))


@pytest.fixture
def session(cluster: Cluster) -> Iterator[Session]:
    """Connected to it, for what the flow asks itself."""
    opened = Session.open(cluster.target(), TerminalAsker())
    yield opened
    opened.close()


@pytest.fixture
def stocked(cluster: Cluster) -> Cluster:
    """Both, with something in their buckets."""
    cluster.store.start()
    return cluster


@pytest.fixture
def real(lab: Lab) -> Real:
    """The real one, for what only real hosts can show."""
    return direct(lab)


@pytest.fixture
def bastion(lab: Lab) -> Cluster:
    """The real one, from outside."""
    return by_bastion(lab)
